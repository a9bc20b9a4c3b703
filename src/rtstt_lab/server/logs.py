"""The server's log: what happened and where, and never what was said (S2).

What fails with audio, words or tokens in its hands may carry them in its message, and Python shows messages,
or the arguments of a callback that failed. Here an error is told by its type and by the lines that it passed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias
from typing import Final as Constant

from rtstt_lab.errors import RtsttError

LEVELS: Constant = ("error", "warning", "info", "debug")
_FORMAT: Constant = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

log = logging.getLogger(__name__)


class PrivateFormatter(logging.Formatter):
    """Shows of an error its type and its way through the code, and nothing that it says."""

    def format(self, record: logging.LogRecord) -> str:
        """As always, less what another handler's formatter has made of the error."""
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """The error's causes, the first one first."""
        return "\n".join(
            "".join(("Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)))
            + _named(error)
            for error in reversed(list(_chain(ei[1])))
        )


def configure(level: str) -> None:
    """Sends this process's log to stderr.

    Args:
        level: of our own lines. Libraries stay at warnings: below, some of them log what they carry.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PrivateFormatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("rtstt_lab").setLevel(level.upper())
    threading.excepthook = lambda failed: _uncaught("a thread failed", failed.exc_value)
    sys.unraisablehook = lambda failed: _uncaught("a clean-up failed", failed.exc_value)


def loop_failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For `asyncio.loop.set_exception_handler`: as asyncio's own, less the arguments of what failed."""
    _uncaught(str(context.get("message", "")).partition("(")[0], context.get("exception"))


def _uncaught(what: str, error: BaseException | None) -> None:
    log.error("%s", what, exc_info=error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _named(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    match error:
        case RtsttError():
            return f"{name}: {error.key}"
        case OSError(errno=int(number)):
            return f"{name}: {errno.errorcode.get(number, number)}"
        case _:
            return name

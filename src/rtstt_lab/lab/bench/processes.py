"""A system in a process of its own, so that the CPU seconds and the memory that it reports are its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final

from rtstt_lab.errors import RecognitionError
from rtstt_lab.lab.bench.heard import Heard, System
from rtstt_lab.types import Samples

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_END_S: Final = 10.0


class SystemProcess:
    """Runs a `System` elsewhere; a context manager, and a `System` itself.

    Args:
        build: makes the system, there; must pickle.
    """

    def __init__(self, build: Callable[[], System]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build), daemon=True)
        with _one_thread_each():
            self._process.start()
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """See `System.hear`.

        Raises:
            RecognitionError: the system failed, or its process is gone.
        """
        self._connection.send((samples, language))
        heard = self._answer()
        if heard is None:
            raise RecognitionError("system_failed", reason="no answer")
        return heard

    def close(self) -> None:
        """Ends the process."""
        with suppress(OSError):  # it is gone already
            self._connection.send(None)
        self._process.join(_END_S)
        self._process.kill()
        self._connection.close()

    def __enter__(self) -> SystemProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Heard | None:
        try:
            heard, failure = self._connection.recv()
        except (EOFError, OSError) as error:
            raise RecognitionError("system_failed", reason="its process has ended") from error
        if failure is not None:
            raise RecognitionError("system_failed", reason=failure)
        return heard  # type: ignore[no-any-return]


def _serve(connection: Connection, build: Callable[[], System]) -> None:
    try:
        system = build()
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises
        connection.send((None, _described(error)))
        return
    connection.send((None, None))
    while (request := connection.recv()) is not None:
        try:
            connection.send((system.hear(*request), None))
        except Exception as error:  # noqa: BLE001 - one recording's failure is a figure
            connection.send((None, _described(error)))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """BLAS and OpenMP read these when they are loaded; their threads spin while they wait."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

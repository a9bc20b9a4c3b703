"""A server of one's own that may be stopped and killed, and comes back as the same one."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

from rtstt_lab.client.child import ServerChild
from rtstt_lab.errors import ServiceError

_READY_S: Final = 120.0
_SETTLE_S: Final = 30.0
_STDERR_LINES: Final = 200


class MortalServer:
    """A child process with a journal; what it saves is thrown away. Use as ``async with``.

    A `rtstt_lab.replay.processes.ServerProcess`: unlike `LocalServer` it comes back only when it is told to.

    Args:
        model: name or folder.

    Attributes:
        token: its secret, in each of its lives.
        messages: what it wrote on stderr, the newest lines.
    """

    def __init__(self, model: str) -> None:
        self.token = secrets.token_urlsafe(32)
        self.messages: deque[str] = deque(maxlen=_STDERR_LINES)
        self._model = model
        self._folder = TemporaryDirectory(prefix="rtstt-bench-")
        self._port = 0
        self._child: ServerChild | None = None

    @property
    def url(self) -> str:
        """Where it listens, in each of its lives."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._child.process.pid if self._child else None

    def suspend(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, and waits until the process is gone."""
        self._signal(signal.SIGKILL)
        await self._end()

    async def restart(self) -> None:
        """A new process on the same port, with the same secret and journal.

        Raises:
            ServiceError: it did not become ready.
        """
        folder = Path(self._folder.name)
        self._child = ServerChild(
            [
                *(sys.executable, "-m", "rtstt_lab", "serve", "--until-stdin-closes"),
                *("--model", self._model, "--port", str(self._port)),
                *("--output", str(folder / "output"), "--journal", str(folder / "journal")),
            ],
            {**os.environ, "RTSTT_TOKEN": self.token, "PYTHONUNBUFFERED": "1"},
            self.messages.append,
        )
        try:
            self._port = await asyncio.to_thread(self._child.port, _READY_S)
        except ServiceError:
            await self._end()
            raise

    async def ensure(self) -> None:
        """Starts it again if it is gone.

        Raises:
            ServiceError: it did not become ready.
        """
        if self._child is None or not self._child.running:
            await self._end()
            await self.restart()

    async def __aenter__(self) -> MortalServer:
        await self.restart()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        self._folder.cleanup()

    async def _end(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(self._child.end, _SETTLE_S)

    def _signal(self, number: int) -> None:
        if self._child is not None and self._child.running:
            with suppress(ProcessLookupError):  # it ended between the question and the signal
                os.kill(self._child.process.pid, number)

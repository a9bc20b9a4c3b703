"""A server of one's own that may be stopped and killed, and comes back as the same one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

from rtstt_lab.client.local import LocalServer

_GONE_S: Final = 5.0


class MortalServer:
    """A child process with a journal; what it saves is thrown away. Use as ``async with``.

    A `rtstt_lab.replay.processes.ServerProcess`.

    Args:
        model: name or folder.
        on_message: gets what the server writes on stderr, from a thread.
    """

    def __init__(self, model: str, *, on_message: Callable[[str], None] | None = None) -> None:
        self._model = model
        self._on_message = on_message
        self._folder = TemporaryDirectory(prefix="rtstt-bench-")
        self._server = self._made(port=0, token=None)

    @property
    def url(self) -> str:
        """Where it listens, in each of its lives."""
        return self._server.url

    @property
    def token(self) -> str:
        """Its secret, in each of its lives."""
        return self._server.token

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._server.pid

    @property
    def journal(self) -> Path:
        """Folder of its journal."""
        return Path(self._folder.name) / "journal"

    @property
    def messages(self) -> list[str]:
        """What the present process wrote on stderr, its newest lines."""
        return self._server.messages

    def suspend(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, and waits until the process is gone."""
        self._signal(signal.SIGKILL)
        await asyncio.to_thread(self._server.stop, _GONE_S)

    async def restart(self) -> None:
        """A new process on the same port, with the same secret and journal.

        Raises:
            ServiceError: it did not become ready.
        """
        self._server = self._made(port=self._server.port, token=self._server.token)
        await asyncio.to_thread(self._server.start)

    async def ensure(self) -> None:
        """Starts it again if it is gone.

        Raises:
            ServiceError: it did not become ready.
        """
        if not self._server.running:
            await asyncio.to_thread(self._server.stop, _GONE_S)
            await self.restart()

    async def __aenter__(self) -> MortalServer:
        try:
            await self._server.__aenter__()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.to_thread(self._server.stop)
        finally:
            self._folder.cleanup()

    def _made(self, *, port: int, token: str | None) -> LocalServer:
        return LocalServer(
            model=self._model,
            output=Path(self._folder.name) / "output",
            port=port,
            token=token,
            arguments=("--journal", str(self.journal)),
            on_progress=self._on_message,
        )

    def _signal(self, number: int) -> None:
        if self._server.running and self._server.pid is not None:
            with suppress(ProcessLookupError):  # it ended between the question and the signal
                os.kill(self._server.pid, number)

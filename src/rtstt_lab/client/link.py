"""One WebSocket from its opening to its end: what it hears is told, what is put is written in order."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from rtstt_lab.client.api import is_this_machine
from rtstt_lab.protocol.messages import MAX_MESSAGE_BYTES, PROTOCOL

# The library's debug log shows frames, which carry tokens and words.
_QUIET: Final = logging.getLogger(f"{__name__}.socket")
_QUIET.setLevel(logging.WARNING)
_CLOSING_S: Final = 1.0
"""A peer that does not answer a close within this is left alone."""


class SocketLink:
    """A socket of its own; `run` it as a task.

    Args:
        url: ``ws`` or ``wss``.
        tls: for ``wss``.
        connect_timeout_s: for the handshake.
        opened: the handshake is done.
        received: a frame came.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout_s: float,
        opened: Callable[[], None],
        received: Callable[[str | bytes], None],
    ) -> None:
        self._url = url
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._opened = opened
        self._received = received
        self._frames: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._close: tuple[int, str] = (1000, "")
        self._closing = asyncio.Event()

    def put(self, frame: str | bytes) -> None:
        """Queues a frame; the session's window bounds how much can wait here."""
        self._frames.put_nowait(frame)

    def close(self, code: int, reason: str) -> None:
        """Writes what waits, then closes; within seconds, whatever the peer does."""
        self._close = code, reason
        self._frames.put_nowait(None)
        self._closing.set()

    async def run(self) -> tuple[str, int | None]:
        """Opens, serves, and returns when the socket is gone.

        Returns:
            Why it ended and, if a close frame told one, the code.
        """
        hasten = asyncio.create_task(self._hasten(asyncio.current_task()))
        try:
            async with connect(
                self._url,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                subprotocols=[Subprotocol(PROTOCOL)],
                ssl=self._tls,
                logger=_QUIET,
                proxy=None if is_this_machine(self._url) else True,
                open_timeout=self._connect_timeout_s,
                close_timeout=_CLOSING_S,
                ping_interval=None,  # the protocol has pings of its own, both ways
            ) as socket:
                return await self._serve(socket)
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            return str(error) or type(error).__name__, None
        finally:
            hasten.cancel()

    async def _serve(self, socket: ClientConnection) -> tuple[str, int | None]:
        self._opened()
        writer = asyncio.create_task(self._write(socket))
        try:
            async for frame in socket:
                self._received(frame)
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
        return socket.close_reason or "closed", socket.close_code

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while (frame := await self._frames.get()) is not None:
                await socket.send(frame)
            await socket.close(*self._close)

    async def _hasten(self, task: asyncio.Task[object] | None) -> None:
        await self._closing.wait()
        await asyncio.sleep(2 * _CLOSING_S)
        if task is not None:
            task.cancel()

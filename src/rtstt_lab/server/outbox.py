"""What waits to be written to one socket: bounded, so that a peer who doesn't read costs no more."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final as Constant

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

MAX_WAITING_BYTES: Constant = 4_000_000
ABORT: Constant = "rtstt.abort"
"""The ASGI extension under which a connection can be dropped, written or not."""
_CLOSING_S: Constant = 5.0


class Outbox:
    """Frames in order, then perhaps a close.

    Args:
        max_bytes: what may wait; more is too much.
    """

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._writing: asyncio.Timeout | None = None
        self._frames: deque[str | bytes] = deque()
        self._bytes = 0
        self._close: tuple[int, str] | None = None
        self._changed = asyncio.Event()

    def put(self, frame: str | bytes) -> None:
        """Queues a frame; a peer that has left too much unread is closed as overloaded."""
        if self._close is not None:
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes > self._max_bytes:
            self._frames.clear()
            self.close(1013, "slow_reader")
            if self._writing is not None:  # it waits for a peer who may never read
                self._writing.reschedule(asyncio.get_running_loop().time())
        self._changed.set()

    def close(self, code: int, reason: str) -> None:
        """Closes the socket once all frames are written; the first call counts."""
        self._close = self._close or (code, reason)
        self._changed.set()

    async def write_to(self, socket: WebSocket) -> None:
        """Writes until closed; returns also when the peer is gone."""
        try:
            while True:
                while self._frames:
                    frame = self._frames.popleft()
                    self._bytes -= len(frame)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(None) as self._writing:
                            await _send(socket, frame)
                    self._writing = None
                if self._close is not None:
                    await self._end(socket, *self._close)
                    return
                self._changed.clear()
                await self._changed.wait()
        except (WebSocketDisconnect, RuntimeError):
            return  # the reader hears of it

    @staticmethod
    async def _end(socket: WebSocket, code: int, reason: str) -> None:
        """Closes; a peer that does not even take that is dropped."""
        if socket.client_state is not WebSocketState.DISCONNECTED:
            try:
                async with asyncio.timeout(_CLOSING_S):
                    await socket.close(code, reason)
            except TimeoutError:
                socket.scope["extensions"][ABORT]()


async def _send(socket: WebSocket, frame: str | bytes) -> None:
    await (socket.send_text(frame) if isinstance(frame, str) else socket.send_bytes(frame))

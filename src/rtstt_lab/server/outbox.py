"""What waits to be written to one socket: bounded, so that a peer who doesn't read costs no more."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final as Constant

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

MAX_WAITING_BYTES: Constant = 4_000_000


class Outbox:
    """Frames in order, then perhaps a close."""

    def __init__(self) -> None:
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
        if self._bytes > MAX_WAITING_BYTES:
            self._frames.clear()
            self.close(1013, "slow reader")
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
                    await (socket.send_text(frame) if isinstance(frame, str) else socket.send_bytes(frame))
                if self._close is not None:
                    if socket.client_state is not WebSocketState.DISCONNECTED:
                        await socket.close(*self._close)
                    return
                self._changed.clear()
                await self._changed.wait()
        except (WebSocketDisconnect, RuntimeError):
            return  # the reader hears of it

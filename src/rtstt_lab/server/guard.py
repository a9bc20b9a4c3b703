"""uvicorn's two protocols, with bounds on what a peer may do before and beside the application.

uvicorn leaves these open: a request whose head never ends, a body that drips behind its answer, a peer that
never reads, a message of ever more empty fragments, and pings whose answers nobody takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from typing import Final as Constant

import h11
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from rtstt_lab.errors import RtsttError
from rtstt_lab.server.outbox import ABORT
from rtstt_lab.server.quotas import Quotas

HEAD_S: Constant = 10.0
"""For the head of a request, from its first byte; for the first one from the connection on."""
_STALLED_S: Constant = 10.0
_STALLED_LOOKS: Constant = 3
_MOST_FRAGMENTS: Constant = 4_096
_MOST_PONG_BYTES: Constant = 1 << 20


class _Stalls:
    """Watches a transport, and drops it when its peer takes nothing for half a minute.

    A closed transport waits for its buffer to be taken, too: without this it would wait for ever.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = 0
        self._looks = 0
        self._timer = loop.call_later(_STALLED_S, self._look)

    def moved(self) -> None:
        """The peer has taken something."""
        self._looks = 0

    def end(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _look(self) -> None:
        before, self._waiting = self._waiting, self._transport.get_write_buffer_size()
        self._looks = self._looks + 1 if 0 < before <= self._waiting else 0
        if self._looks >= _STALLED_LOOKS:
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(_STALLED_S, self._look)


class _Peer:
    """Who is at the other end: counted from its arrival to its leave, and watched all the while.

    Args:
        quotas: of the server.
        refusal: makes the application for those over a limit.
    """

    def __init__(self, quotas: Quotas, refusal: Callable[[RtsttError], ASGIApp]) -> None:
        self._quotas = quotas
        self._refusal = refusal
        self._address: str | None = None
        self._stalls: _Stalls | None = None

    @property
    def here(self) -> bool:
        """Whether it has come and not left."""
        return self._stalls is not None

    def came(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, client: tuple[str, int] | None
    ) -> ASGIApp | None:
        """Counts it; over a limit, gives what tells it so."""
        self._stalls = _Stalls(transport, loop)
        self._address = client[0] if client else None
        error = self._quotas.opened(self._address)
        return self._refusal(error) if error else None

    def reads(self) -> None:
        """It has taken something."""
        if self._stalls:
            self._stalls.moved()

    def left(self) -> None:
        """Uncounts it, once."""
        if self._stalls:
            self._stalls.end()
            self._stalls = None
            self._quotas.closed(self._address)


class _Guarded:
    """What either protocol has beside uvicorn's.

    Args:
        quotas: of the server.
        refusal: makes the application for those over a limit.
        uvicorns: what uvicorn gives a protocol.
    """

    def __init__(self, *, quotas: Quotas, refusal: Callable[[RtsttError], ASGIApp], **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._peer = _Peer(quotas, refusal)


class GuardedHttp(_Guarded, H11Protocol):
    """HTTP/1.1, one connection."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Counts it; over a limit, its request will be refused."""
        super().connection_made(transport)
        self.app = self._peer.came(transport, self.loop, self.client) or self.app
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uncounts it."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: time for a head, or for a body that nobody waits for, begins with the first of them."""
        super().data_received(data)
        state = self.conn.their_state
        answered = self.cycle is not None and self.cycle.response_complete
        if self._peer.here and (state is h11.IDLE or (state is h11.SEND_BODY and answered)):
            self._arm()
        else:
            self._disarm()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the connection is another protocol's."""
        self._leave()
        super().handle_websocket_upgrade(event)

    def resume_writing(self) -> None:
        """The peer reads."""
        self._peer.reads()
        self.flow.resume_writing()

    def _arm(self) -> None:
        self._head = self._head or self.loop.call_later(HEAD_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None

    def _leave(self) -> None:
        self._disarm()
        self._peer.left()


class GuardedSocket(_Guarded, WebSocketsSansIOProtocol):
    """A WebSocket, from its handshake on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts it; over a limit, it is told so and closed."""
        super().connection_made(transport)
        self.app = self._peer.came(self.transport, self.loop, self.client) or self.app

    async def run_asgi(self) -> None:
        """Gives the application a way to drop a peer that does not even take a close."""
        extensions: dict[str, Any] = {**(self.scope["extensions"] or {}), ABORT: self.transport.abort}
        self.scope["extensions"] = extensions
        await super().run_asgi()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uncounts it."""
        self._peer.left()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """The peer reads."""
        self._peer.reads()
        super().resume_writing()

    def handle_cont(self, event: Any) -> None:
        """Another fragment: the limit on a message's bytes says nothing of empty ones."""
        super().handle_cont(event)
        if len(self.frames) > _MOST_FRAGMENTS:
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answers, unless the answers are not taken."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > _MOST_PONG_BYTES:
            self.transport.abort()

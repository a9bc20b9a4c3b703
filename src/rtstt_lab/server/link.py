"""A WebSocket and a session: feed what comes in, write what goes out; the rest is the host's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from starlette.websockets import WebSocket

from rtstt_lab.errors import (
    AuthenticationError,
    LimitError,
    OriginError,
    OverloadedError,
    RtsttError,
    ServiceError,
    SessionNotFoundError,
)
from rtstt_lab.protocol.messages import PROTOCOL, ClientHello, decode_client_message, encode, server_error
from rtstt_lab.protocol.server import ServerSettings
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.outbox import Outbox


async def accept(socket: WebSocket) -> None:
    """Completes the handshake, in the subprotocol if the client named it."""
    offered = socket.scope.get("subprotocols") or ()
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)


async def serve_link(socket: WebSocket, host: SessionHost, hello: ClientHello | None = None) -> None:
    """Carries one connection of a session until either side closes it.

    Args:
        socket: accepted.
        host: of the session.
        hello: its first message, if that was read already.
    """
    async with _writer(socket) as outbox:
        link = host.link_opened(outbox)
        if hello is not None:
            host.receive(encode(hello), link)
        try:
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                frame = message.get("text")
                host.receive(message["bytes"] if frame is None else frame, link)
        finally:
            host.link_lost(link)


async def serve_viewer(socket: WebSocket, host: SessionHost, after: int) -> None:
    """Shows a session's numbered events, partials and metrics, from event ``after`` on; reads nothing."""
    async with _writer(socket) as outbox:
        host.watch(outbox, after, limit=socket.app.state.quotas.limits.max_viewers)
        try:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            host.unwatch(outbox)


async def hello(socket: WebSocket) -> ClientHello:
    """The first message of a socket that isn't a session's link.

    Raises:
        ServiceError: it doesn't come in time.
        AuthenticationError: it is another one.
        MalformedFrameError: it can't be read.
    """
    limit_s = ServerSettings().hello_s
    try:
        async with asyncio.timeout(limit_s):
            message = await socket.receive()
    except TimeoutError:
        raise ServiceError("hello_late", limit_s=limit_s) from None
    first = decode_client_message(message.get("text") or "")
    if not isinstance(first, ClientHello):
        raise AuthenticationError("hello_first")
    return first


async def refuse(socket: WebSocket, error: RtsttError) -> None:
    """Says why before it closes: a proxy in between may swallow the code."""
    again = isinstance(error, LimitError)
    frame = encode(server_error(error, retryable=again, fatal=True))
    await tell_last(socket, frame, _close_code(error), error.key)


async def tell_last(socket: WebSocket, frame: str, code: int, reason: str) -> None:
    """Writes one frame and closes; the peer may be gone by then."""
    await tell_all(socket, (frame,), code, reason)


async def tell_all(socket: WebSocket, frames: Iterable[str], code: int, reason: str) -> None:
    """Writes frames and closes; the peer may be gone by then."""
    outbox = Outbox()
    for frame in frames:
        outbox.put(frame)
    outbox.close(code, reason)
    await outbox.write_to(socket)


@asynccontextmanager
async def _writer(socket: WebSocket) -> AsyncIterator[Outbox]:
    outbox = Outbox(socket.app.state.quotas.limits.max_unread_bytes)
    writing = asyncio.create_task(outbox.write_to(socket))
    try:
        yield outbox
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing


def _close_code(error: RtsttError) -> int:
    match error:
        case SessionNotFoundError():
            return 4404
        case OriginError():
            return 4403
        case AuthenticationError():
            return 4401
        case OverloadedError():
            return 1013
        case LimitError():
            return 4429
        case _:
            return 4400

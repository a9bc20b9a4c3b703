"""Raw frames and requests, and what comes back with its time: to examine a server, not to stream to it.

Nothing is checked, repeated or answered here but what its caller asks for: what goes out may break any rule.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from rtstt_lab.client.api import is_http, is_this_machine
from rtstt_lab.client.tls import tls_context, unreachable
from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.messages import PROTOCOL

MAX_HEARD: Final = 20_000
"""Frames kept of one socket; a server that sends more is not read any further."""
MAX_BYTES: Final = 64 * 2**20
"""The same of one socket's frames together, and of one answer's body."""
_OPEN_S: Final = 15.0
_CLOSING_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.

    Attributes:
        status: of HTTP.
        headers: their names in lower case.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as plain objects; ``None`` where it is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame that came, and when, on the probe's clock."""

    at_s: float
    frame: str | bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a socket, and when.

    Attributes:
        at_s: on the probe's clock.
        code: of the server's close frame; ``None`` if none came.
    """

    at_s: float
    code: int | None


class ProbeSocket:
    """One WebSocket, read from now on until it ends.

    Args:
        socket: open.
        reply: asked at each frame what to answer at once.
        clock: monotonic seconds.

    Attributes:
        subprotocol: that the server chose.
        extensions: that were agreed on, as the handshake's header names them.
        heard: every frame, in order.
        ended: how it ended; ``None`` while it is open.
    """

    def __init__(
        self,
        socket: ClientConnection,
        reply: Callable[[str | bytes], str | None] | None,
        clock: Callable[[], float],
    ) -> None:
        answer = socket.response
        self.subprotocol = socket.subprotocol
        self.extensions = answer.headers.get("Sec-WebSocket-Extensions", "") if answer else ""
        self.heard: list[Heard] = []
        self.ended: Ended | None = None
        self._bytes = 0
        self._socket = socket
        self._reply = reply
        self._clock = clock
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def send(self, frame: str | bytes) -> bool:
        """Writes one frame; False where the socket has ended."""
        try:
            await self._socket.send(frame)
        except (ConnectionClosed, OSError):
            return False
        return True

    async def news(self, known: int) -> None:
        """Returns once more than ``known`` frames were heard, or the socket has ended."""
        while len(self.heard) <= known and self.ended is None:
            self._news.clear()
            await self._news.wait()

    async def drop(self) -> None:
        """Cuts the connection without a word, as a network does."""
        self._socket.transport.abort()
        await self._reading

    async def close(self) -> None:
        """Says goodbye."""
        await self._socket.close()
        await self._reading

    async def _read(self) -> None:
        with suppress(ConnectionClosed, OSError):
            async for frame in self._socket:
                self.heard.append(Heard(self._clock(), frame))
                self._news.set()
                if self._reply is not None and (answer := self._reply(frame)) is not None:
                    await self._socket.send(answer)
                self._bytes += len(frame)
                if len(self.heard) >= MAX_HEARD or self._bytes >= MAX_BYTES:
                    self._socket.transport.abort()
        code = self._socket.close_code
        # 1006 is this side's own word for "no close frame came" (RFC 6455, section 7.4.1).
        self.ended = Ended(self._clock(), None if code == 1006 else code)
        self._news.set()


class HandshakeRefused(Exception):  # noqa: N818 - an answer of the server, which its caller judges
    """The WebSocket was not opened.

    Args:
        status: of the HTTP answer; ``None`` where there was none.
    """

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class Probe:
    """Requests and sockets below one address; an async context manager.

    Args:
        url: of the server, with the prefix that a proxy puts before it; a query in it goes with everything
            (``?token=…`` opens jupyter-server-proxy).
        cafile: see `tls_context`.
        clock: monotonic seconds.

    Raises:
        UsageError: the address is none of HTTP; the file can't be used.
    """

    def __init__(
        self, url: str, *, cafile: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not is_http(url):
            raise UsageError("server_url", url=url[:200])
        self.clock = clock
        parts = urlsplit(url)
        self.url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._parts = parts
        self._query = parse_qsl(parts.query)
        self._local = is_this_machine(url)
        self._tls = tls_context(url, cafile)
        self._http = httpx.AsyncClient(
            verify=self._tls or True,
            trust_env=not self._local,
            # Each request has a connection of its own: a server that hangs up after one answer
            # fails no other question.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._sockets: list[ProbeSocket] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One request, of whatever content.

        Args:
            method: of HTTP.
            path: below the address.
            token: sent as a bearer's.
            query: added to the address's own.
            content: of the body.
            headers: besides.
            timeout_s: the whole answer must be here by then.

        Raises:
            ConnectionFailedError: there was no answer, or it had no end.
        """
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        body = bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http.stream(
                    method,
                    self._address(self._parts.scheme, path, query),
                    content=content,
                    headers={**bearer, **(headers or {})},
                    timeout=timeout_s,
                ) as answer,
            ):
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise httpx.ReadError(f"> {MAX_BYTES} B", request=answer.request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(self.url, error) from error
        except TimeoutError as error:
            raise unreachable(self.url, httpx.ReadTimeout(f"> {timeout_s:g} s")) from error
        return Answer(answer.status_code, dict(answer.headers), bytes(body))

    async def open(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocol: str | None = PROTOCOL,
        compression: bool = False,
        reply: Callable[[str | bytes], str | None] | None = None,
    ) -> ProbeSocket:
        """One WebSocket.

        Args:
            path: below the address.
            query: added to it.
            headers: sent with the handshake.
            subprotocol: offered.
            compression: offer it.
            reply: asked at each frame what to answer at once.

        Raises:
            HandshakeRefused: it was not opened.
        """
        scheme = "wss" if self._parts.scheme == "https" else "ws"
        try:
            opened = await connect(
                self._address(scheme, path, query),
                additional_headers=dict(headers or {}),
                subprotocols=[Subprotocol(subprotocol)] if subprotocol else None,
                compression="deflate" if compression else None,
                max_size=MAX_BYTES,
                ssl=self._tls,
                proxy=None if self._local else True,
                open_timeout=_OPEN_S,
                close_timeout=_CLOSING_S,
                ping_interval=None,
            )
        except InvalidStatus as refused:
            raise HandshakeRefused(refused.response.status_code) from refused
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            raise HandshakeRefused(None) from error
        socket = ProbeSocket(opened, reply, self.clock)
        self._sockets.append(socket)
        return socket

    async def __aenter__(self) -> Probe:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for socket in self._sockets:
            await socket.drop()
        await self._http.aclose()

    def _address(self, scheme: str, path: str, query: Mapping[str, str] | None) -> str:
        prefix = self._parts.path.rstrip("/")
        asked = urlencode([*self._query, *(query or {}).items()])
        return urlunsplit((scheme, self._parts.netloc, prefix + path, asked, ""))

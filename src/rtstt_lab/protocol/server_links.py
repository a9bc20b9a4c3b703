"""A session's links at the server: who may be its client, who is, and when a link is to be closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rtstt_lab.errors import (
    AuthenticationError,
    LimitError,
    ProtocolError,
    RtsttError,
    ServiceError,
)
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.events import ClientLost, CloseLink, HelloRejected, ServerEvent
from rtstt_lab.protocol.server_parts import Tokens
from rtstt_lab.protocol.timing import Counter, Liveness, earliest, to_ms

CLOSE_CODES: Final = {
    "authentication": 4401,
    "hello_first": 4401,
    "continued_elsewhere": 4409,
    "hello_stale": 4409,
    "frame_too_large": 4413,
    "limit_reconnections": 4429,
    "limit_links": 4429,
    "silence": 4000,
}
"""Close code after a fatal error; 4400 for the others that a client causes. Codes are a hint (rule 5)."""
_MAX_WAITING_LINKS: Final = 8
_ON_THE_WAY: Final = "chunk_after_stop"
"""No offence: the server may have ended the session, at its limit, while these were on their way."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How patient the server is.

    Attributes:
        hello_s: for the first message of a link.
        gap_wait_s: for a missing chunk, while later ones are here and a client is there.
        control_wait_s: for the audio before a button, since the last frame of audio.
        ping_s: between pings.
        silence_s: without a frame is a loss.
        bad_frames: within a minute that close the link (rule 6).
    """

    hello_s: float = 5.0
    gap_wait_s: float = 10.0
    control_wait_s: float = 30.0
    ping_s: float = 5.0
    silence_s: float = 10.0
    bad_frames: int = 10


class ServerLinks:
    """The links that wait for their hello, and the client's.

    Args:
        tokens: that open the session.
        limits: of the session.
        settings: see `ServerSettings`.
        events: where `CloseLink`, `ClientLost` and `HelloRejected` are put.
        out: where frames are put, each with its link.
        gone: called when the client's link is gone.

    Attributes:
        client: the link of the session's client, if one is there.
        now: the time of the last call.
    """

    def __init__(
        self,
        tokens: Tokens,
        limits: wire.Limits,
        settings: ServerSettings,
        *,
        events: list[ServerEvent],
        out: list[tuple[int, str | bytes]],
        gone: Callable[[], None],
    ) -> None:
        self.client: int | None = None
        self.now = 0.0
        self._tokens = tokens
        self._limits = limits
        self._settings = settings
        self._events = events
        self._out = out
        self._gone = gone
        self._epoch: float | None = None
        self._waiting: dict[int, float] = {}
        self._liveness: Liveness | None = None
        self._last_hello: tuple[str, int] | None = None
        self._reconnections = Counter(limits.max_reconnections_per_h, 3600.0)
        self._bad_frames = Counter(settings.bad_frames, 60.0)

    def tick(self, now: float) -> None:
        """The time of the call that is being answered."""
        if self._epoch is None:
            self._epoch = now
        self.now = now

    def clock_ms(self) -> int:
        """The session's wire clock, from its first call."""
        return to_ms(self.now - (self._epoch or 0.0))

    def opened(self, link: int) -> None:
        """A socket was accepted."""
        if len(self._waiting) >= _MAX_WAITING_LINKS:
            wait_s = max(0.0, min(self._waiting.values()) - self.now)
            self._turn_away(link, LimitError("limit_links", retry_after_s=wait_s, limit=_MAX_WAITING_LINKS))
        else:
            self._waiting[link] = self.now + self._settings.hello_s

    def lost(self, link: int) -> None:
        """A socket is gone."""
        self._waiting.pop(link, None)
        if link == self.client:
            self._client_gone()

    def is_waiting(self, link: int) -> bool:
        """Whether a link has not said hello yet."""
        return link in self._waiting

    def heard(self, link: int, size: int) -> bool:
        """Notes that a frame came; whether it is to be looked at."""
        if link == self.client and self._liveness is not None:
            self._liveness.heard(self.now)
        elif link not in self._waiting:
            return False
        if size <= wire.MAX_MESSAGE_BYTES:
            return True
        error = ProtocolError("frame_too_large", bytes=size, limit=wire.MAX_MESSAGE_BYTES)
        if link == self.client:
            self.close_client(error, retryable=False)
        else:
            self._turn_away(link, error)
        return False

    def admit(self, message: wire.ClientMessage, link: int) -> wire.ClientHello:
        """Makes a link the session's client, if its first message may; another client has to go.

        Raises:
            AuthenticationError: no hello, or no valid token.
            ProtocolError: another protocol.
            ServiceError: an older hello of a client that has connected again since.
            LimitError: too many reconnections.
        """
        if not isinstance(message, wire.ClientHello):
            raise AuthenticationError("hello_first")
        if message.protocol != wire.PROTOCOL:
            raise ProtocolError("protocol_version", protocol=message.protocol, expected=wire.PROTOCOL)
        token = self._tokens.check(message.token)
        if token is None:
            raise AuthenticationError("authentication")
        last = self._last_hello
        late = last is not None and token == last[0] and message.attempt < last[1]
        if late and message.resuming:
            raise ServiceError("hello_stale")
        if last is not None and self._reconnections.full(self.now):
            wait_s = (self._reconnections.free_at() or self.now) - self.now
            limit = self._limits.max_reconnections_per_h
            raise LimitError("limit_reconnections", retry_after_s=wait_s, limit=limit)
        if last is not None:
            self._reconnections.add(self.now)
        self._last_hello = (token, message.attempt)
        self.close_client(ServiceError("continued_elsewhere"), retryable=False)
        del self._waiting[link]
        self.client = link
        self._liveness = Liveness(self._settings.ping_s, self._settings.silence_s, self.now)
        return message

    def send(self, message: wire.Message) -> None:
        """To the client, if one is there."""
        self.send_frame(wire.encode(message))

    def send_frame(self, frame: str) -> None:
        """As `send`, of a frame that is written already."""
        if self.client is not None:
            self._out.append((self.client, frame))

    def refuse(self, error: RtsttError, link: int | None = None, seq: int | None = None) -> None:
        """Answers what cannot be used: a first offence keeps the client's link (rule 6).

        Args:
            error: what is wrong.
            link: where it came from, if not from the client.
            seq: the chunk it is about.
        """
        if link is not None and link in self._waiting:
            self._turn_away(link, error)
            return
        again = isinstance(error, ProtocolError | LimitError)
        self.send(wire.server_error(error, retryable=again, seq=seq))
        offends = isinstance(error, ProtocolError) and error.key != _ON_THE_WAY
        if offends and self._bad_frames.add(self.now):
            self.close_client(ProtocolError("bad_frames", count=self._settings.bad_frames), retryable=True)

    def close_client(self, error: RtsttError, *, retryable: bool) -> None:
        """Says why, then closes the client's link."""
        self.send(wire.server_error(error, retryable=retryable, fatal=True))
        self.end_client(CLOSE_CODES.get(error.key, 4400), error.key)

    def end_client(self, code: int, reason: str) -> None:
        """Closes the client's link; why was said already."""
        if self.client is not None:
            self._events.append(CloseLink(code, reason, self.client))
            self._client_gone()

    def deadline(self) -> float | None:
        """When `due` has something to do."""
        return earliest(*self._waiting.values(), self._liveness.deadline if self._liveness else None)

    def due(self) -> None:
        """Turns late links away, pings the client, and lets go of a silent one."""
        for link in [link for link, deadline in self._waiting.items() if self.now >= deadline]:
            self._turn_away(link, ServiceError("hello_late", limit_s=self._settings.hello_s))
        match self._liveness.due(self.now) if self._liveness else None:
            case "lost":
                self.close_client(ServiceError("silence", seconds=self._settings.silence_s), retryable=True)
            case "ping":
                self.send(wire.ServerPing(self.clock_ms()))

    def _turn_away(self, link: int, error: RtsttError) -> None:
        self._waiting.pop(link, None)
        retryable = isinstance(error, LimitError) or error.key == "hello_late"
        self._out.append((link, wire.encode(wire.server_error(error, retryable=retryable, fatal=True))))
        self._events.append(HelloRejected(link, error.key))
        self._events.append(CloseLink(CLOSE_CODES.get(error.key, 4400), error.key, link))

    def _client_gone(self) -> None:
        if self.client is not None:
            self._events.append(ClientLost(self.client))
        self.client = self._liveness = None
        self._gone()

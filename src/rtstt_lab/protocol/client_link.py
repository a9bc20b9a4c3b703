"""The client's link: attempts, the retry ladder, connect timeout, pings and silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rtstt_lab.errors import LifecycleError
from rtstt_lab.protocol.events import ClientEvent, CloseLink, OpenLink
from rtstt_lab.protocol.lifecycle import Link, LinkEvent, next_link
from rtstt_lab.protocol.timing import Backoff, Liveness, earliest

CLOSED_BY_CLIENT: Final = 4000
"""Code of the client's own closings; a browser allows none but 1000 and 3000 to 4999."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How patient and how big the client is.

    Attributes:
        backoff_s: waits before each retry (L4).
        connect_timeout_s: for the socket to open, and again for the server's first message.
        ping_s: between pings.
        silence_s: without a frame is a loss.
        stable_s: of acknowledged traffic after which the backoff starts anew.
        resend_s: without an answer to the oldest chunk after which it is sent again.
        max_buffer_bytes: of audio held until it is committed; the default holds an hour of PCM.
        max_in_flight: chunks without an answer.
        latency_alert_s: warning above this (A1).
        latency_goal_s: the warning is over below this.
        reconnections_alert: so many within `reconnections_window_s` suggest block mode (A3).
        reconnections_window_s: see above.
        max_retry_after_s: a server that asks for a longer wait is given up for now.
        block_s: between blocks; and between their repetitions, at first.
        block_timeout_s: for the answer to a block.
        max_block_bytes: of audio in one block; less while blocks do not get through.
        block_stable_s: of answered blocks after which the link is tried again; twice as long after each try.
        max_block_stable_s: the longest such wait.
        block_patience_s: without any answer after which block mode is given up; a server keeps a session for
            a day.
    """

    backoff_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    connect_timeout_s: float = 3.0
    ping_s: float = 5.0
    silence_s: float = 10.0
    stable_s: float = 10.0
    resend_s: float = 5.0
    max_buffer_bytes: int = 128 * 2**20
    max_in_flight: int = 64
    latency_alert_s: float = 3.0
    latency_goal_s: float = 2.0
    reconnections_alert: int = 3
    reconnections_window_s: float = 120.0
    max_retry_after_s: float = 60.0
    block_s: float = 1.0
    block_timeout_s: float = 30.0
    max_block_bytes: int = 2**20
    block_stable_s: float = 10.0
    max_block_stable_s: float = 300.0
    block_patience_s: float = 86_400.0


class ClientLink:
    """One socket after the other.

    Args:
        settings: see `ClientSettings`.
        events: where `OpenLink` and `CloseLink` are put.
    """

    def __init__(self, settings: ClientSettings, events: list[ClientEvent]) -> None:
        self.state = Link.CONNECTING
        self.attempt = -1
        self.reason = ""
        self._settings = settings
        self._events = events
        self._backoff = Backoff(settings.backoff_s)
        self._retry_at: float | None = None
        self._answer_by: float | None = None
        self._liveness: Liveness | None = None
        self._stable_at = 0.0
        self._lost_at: float | None = None

    @property
    def in_use(self) -> bool:
        """Whether there is a socket, or one is being opened."""
        return self._answer_by is not None or self._liveness is not None

    @property
    def retries(self) -> int:
        """How many retries were used since the link last proved itself."""
        return self._backoff.tried

    def connect(self, now: float) -> None:
        """The first attempt.

        Raises:
            LifecycleError: if there was one already.
        """
        if self.attempt >= 0 or self.state is Link.CLOSED:
            raise LifecycleError("lifecycle", state=self.state.value, event="connect")
        self._attempt(now)

    def reconnect(self, now: float) -> None:
        """An attempt by hand, at once, with the whole ladder behind it; a closed link begins anew first."""
        if self.in_use:
            self._drop("reconnect")
        if self.state is Link.OPEN:
            self._leave_open(now)
        self._backoff.reset()
        self._attempt(now)

    def try_again(self, now: float) -> None:
        """One attempt of a closed link, with no ladder behind it until it has proved itself."""
        self.begin_anew()
        self._backoff.use_up()
        self._attempt(now)

    def begin_anew(self) -> None:
        """A closed link: the next attempt has a table of its own."""
        self.state = Link.CONNECTING

    def socket_opened(self, now: float) -> None:
        """The socket is up; the server has not said a word yet.

        Raises:
            LifecycleError: if no socket was asked for.
        """
        if self._answer_by is None:
            raise LifecycleError("lifecycle", state=self.state.value, event="link_opened")
        self._answer_by = now + self._settings.connect_timeout_s

    def answered(self, now: float) -> float | None:
        """The server's first message: the link is open.

        Returns:
            How long it was lost, if it had been open before.
        """
        self.state = next_link(self.state, LinkEvent.OPENED)
        self._answer_by = None
        self._liveness = Liveness(self._settings.ping_s, self._settings.silence_s, now)
        self._stable_at = now + self._settings.stable_s
        outage_s = None if self._lost_at is None else now - self._lost_at
        self._lost_at = None
        return outage_s

    def heard(self, now: float) -> None:
        """A frame came in."""
        if self._liveness is not None:
            self._liveness.heard(now)

    def proved(self, now: float) -> None:
        """Something that was sent was acknowledged (rule 5)."""
        if self.state is Link.OPEN and now >= self._stable_at:
            self._backoff.reset()

    def lost(self, reason: str, now: float, *, close: bool, retry_after_s: float = 0.0) -> bool:
        """The socket is gone, or is given up.

        Args:
            reason: why.
            now: of the loss.
            close: whether the adapter has to close it.
            retry_after_s: what the server asked for.

        Returns:
            Whether there will be another attempt.
        """
        self._drop(reason if close else None)
        self.reason = reason
        if self.state is Link.OPEN:
            self._leave_open(now)
        else:
            self.state = next_link(self.state, LinkEvent.LOST)
        delay_s = self._backoff.next_s()
        if delay_s is None or retry_after_s > self._settings.max_retry_after_s:
            self.state = next_link(self.state, LinkEvent.GAVE_UP)
            return False
        self._retry_at = now + max(delay_s, retry_after_s)
        return True

    def close(self, reason: str, *, close: bool, code: int = CLOSED_BY_CLIENT) -> None:
        """No further attempt, until `reconnect`."""
        self._drop(reason if close else None, code)
        self.reason = reason
        if self.state is not Link.CLOSED:
            self.state = next_link(self.state, LinkEvent.CLOSED)

    @property
    def deadline(self) -> float | None:
        """When `due` has something to say."""
        alive = self._liveness.deadline if self._liveness else None
        return earliest(self._retry_at, self._answer_by, alive)

    def due(self, now: float) -> Literal["ping", "connect_timeout", "silence"] | None:
        """Makes a retry that is due; says whether a ping is due or the link is to be taken as lost."""
        if self._retry_at is not None and now >= self._retry_at:
            self._attempt(now)
        if self._answer_by is not None and now >= self._answer_by:
            return "connect_timeout"
        match self._liveness.due(now) if self._liveness else None:
            case "lost":
                return "silence"
            case "ping":
                return "ping"
        return None

    def _attempt(self, now: float) -> None:
        self._retry_at = None
        self.attempt += 1
        self._answer_by = now + self._settings.connect_timeout_s
        self._events.append(OpenLink(self.attempt))

    def _leave_open(self, now: float) -> None:
        self.state = next_link(self.state, LinkEvent.LOST)
        self._lost_at = now

    def _drop(self, reason: str | None, code: int = CLOSED_BY_CLIENT) -> None:
        if reason is not None and self.in_use:
            self._events.append(CloseLink(code, reason))
        self._retry_at = self._answer_by = self._liveness = None

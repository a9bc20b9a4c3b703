"""What a server's session says: results, states, errors and acks, to the client that is there."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.lifecycle import Link, shown
from rtstt_lab.protocol.losses import Losses
from rtstt_lab.protocol.server_links import CLOSE_CODES, ServerLinks, ServerSettings
from rtstt_lab.protocol.server_parts import Controls, EventLog, Tokens
from rtstt_lab.protocol.server_state import IntakeState, ProtocolState
from rtstt_lab.protocol.wire_results import final_message, partial_message
from rtstt_lab.types import Final as FinalResult
from rtstt_lab.types import Partial


class ServerVoice:
    """A session's state at the server, and all it says to its client.

    Args:
        session_id: its id.
        token_hash: SHA-256 of the token given out with it, hexadecimal.
        new_token: makes an unguessable token.
        api_token_hash: of the API token, if there is one.
        limits: what the session may do.
        model: its model, as told to clients.
        language: ISO 639-1 code; ``None`` until detected.
        settings: see `ServerSettings`.
        restored: what it goes on from, if it was begun before; its tokens hold then.

    Attributes:
        language: see above; told with the next status.
        degraded: what is done less of, and why; told with the next status.
        latency: the client's figures (M1), as it last told them.
    """

    def __init__(
        self,
        session_id: str,
        *,
        token_hash: str,
        new_token: Callable[[], str],
        api_token_hash: str | None = None,
        limits: wire.Limits | None = None,
        model: str = "",
        language: str | None = None,
        settings: ServerSettings | None = None,
        restored: ProtocolState | None = None,
    ) -> None:
        state = restored or ProtocolState((token_hash,))
        self.session_id = session_id
        self.limits = limits or wire.Limits()
        self.model = model
        self.language = language
        self.degraded = ""
        self.phase = state.phase
        self.latency: wire.LatencyFigures | None = None
        self.committed_seq = state.committed_seq
        self.resume_seq = state.intake.next_seq
        self.acknowledged_event = 0
        self._settings = settings or ServerSettings()
        self._restored = restored
        self._until_seq = restored.at_seq if restored else None
        present, *fresh = state.token_hashes
        self._tokens = Tokens(present, api_token_hash, new_token, tuple(fresh))
        self._intake = Intake(self.limits, self._settings.gap_wait_s, state.intake, state.header_seq)
        self._losses = Losses()
        self._controls = Controls(applied=state.controls)
        self._log = EventLog(state.frames)
        self._completed_event: int | None = None
        self._events: list[ev.ServerEvent] = []
        self._out: list[tuple[int, str | bytes]] = []
        self._ack_due = False
        self._credit_told = self.limits.credit_ms
        self._links = ServerLinks(
            self._tokens,
            self.limits,
            self._settings,
            events=self._events,
            out=self._out,
            gone=self._client_gone,
        )
        self._met = False
        self._held_seq = 0
        self._audio_at = self._block_at = 0.0

    # --- what can be asked at any time ----------------------------------------------------------------------

    @property
    def link(self) -> int | None:
        """The link of the session's client, if one is there."""
        return self._links.client

    @property
    def next_seq(self) -> int:
        """The first chunk not yet received."""
        return self._intake.next_seq

    @property
    def awaits_again(self) -> bool:
        """Whether its client has yet to bring again what an earlier server had received."""
        return self._restored is not None and (not self._met or self.next_seq < self._held_seq)

    @property
    def audio_ms(self) -> int:
        """How much audio lies below `next_seq`, holes included."""
        return self._intake.audio_ms

    @property
    def audio_at(self) -> float:
        """When the client last sent audio, pressed a button or connected."""
        return self._audio_at

    @property
    def credit_ms(self) -> int:
        """How much more audio the client may send."""
        return max(0, self._intake.credit_ms)

    @property
    def received(self) -> wire.Received:
        """The server's half of the ledger."""
        return self._intake.received

    @property
    def controls_applied(self) -> int:
        """The highest control number applied."""
        return self._controls.applied

    @property
    def last_event(self) -> int:
        """The newest numbered event."""
        return self._log.last

    @property
    def token_hashes(self) -> tuple[str, ...]:
        """Of the tokens valid now, the present one first."""
        return self._tokens.hashes

    def below(self, seq: int, committed_seq: int) -> IntakeState:
        """What lies below a chunk that was received; see `Intake.below`."""
        return self._intake.below(seq, committed_seq)

    def events_after(self, event: int) -> list[str]:
        """The frames of the numbered events after ``event``, in order, for a viewer."""
        return self._log.after(event)

    def issue_token(self) -> str:
        """A fresh token for another page; the ones out there stay valid until its first hello."""
        return self._tokens.issue()

    # --- what it says ---------------------------------------------------------------------------------------

    def partial(self, partial: Partial) -> None:
        """Sends the present view of an open segment, if a client is there."""
        self._queue(partial_message(partial))

    def final(self, final: FinalResult) -> int:
        """Sends a closed segment, and again on each resumption until it is applied.

        Returns:
            Its event number.
        """
        return self._number(final_message(final))

    def status(self, alert: wire.Alert | None = None, *, numbered: bool = True) -> None:
        """Tells the state, and an alert that went on or off.

        Args:
            alert: see `wire.Alert`.
            numbered: whether it must not be missed.
        """
        message = wire.Status(
            state=shown(Link.OPEN, self.phase).value,
            phase=self.phase.value,
            controls=self._controls.applied,
            degraded=self.degraded,
            alert=alert,
            language=self.language,
        )
        if numbered:
            self._number(message)
        else:
            self._queue(message)

    def metrics(self, metrics: wire.Metrics) -> wire.Metrics:
        """Sends the figures of the last second with the ledger's half filled in, and gives them back so."""
        whole = msgspec.structs.replace(metrics, received=self.received)
        self._queue(whole)
        return whole

    def error(
        self,
        error: RtsttError,
        *,
        retryable: bool = False,
        fatal: bool = False,
        seq: int | None = None,
        numbered: bool = False,
    ) -> None:
        """Tells what went wrong.

        Args:
            error: what.
            retryable: whether doing the same again may work.
            fatal: the attempt is over: the client's link is closed.
            seq: the chunk it is about.
            numbered: whether it must not be missed.
        """
        message = wire.server_error(error, retryable=retryable, fatal=fatal, seq=seq)
        if numbered:
            self._number(message)
        else:
            self._queue(message)
        if fatal:
            self._links.end_client(CLOSE_CODES.get(error.key, 1011), error.key)

    # --- out ------------------------------------------------------------------------------------------------

    def _number(self, message: wire.Message) -> int:
        self._queue_frame(self._log.add(message))
        return self._log.last

    def _queue(self, message: wire.Message) -> None:
        self._queue_frame(wire.encode(message))

    def _queue_frame(self, frame: str) -> None:
        self._flush_ack()
        self._links.send_frame(frame)

    def _flush_ack(self) -> None:
        """Marks, credit and losses go before whatever follows from them."""
        if self._ack_due:
            self._send_ack(None, 0)

    def _send_ack(self, seq: int | None, client_sent_ms: int) -> None:
        self._ack_due = False
        self._credit_told = self.credit_ms
        self._links.send(self._ack(seq, client_sent_ms))

    def _ack(self, seq: int | None, client_sent_ms: int) -> wire.ServerAck:
        return wire.ServerAck(
            seq=seq,
            next_seq=self.next_seq,
            missing=self._intake.missing(),
            committed_seq=self.committed_seq,
            resume_seq=self.resume_seq,
            credit_ms=self.credit_ms,
            client_sent_ms=client_sent_ms,
            received_ms=self._links.clock_ms(),
            sent_ms=self._links.clock_ms(),
            received=self.received,
            controls=self._controls.applied,
        )

    def _client_gone(self) -> None:
        self._ack_due = False
        self._intake.link_lost()

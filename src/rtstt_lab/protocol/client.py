"""The client's end of a session, without a socket or a clock: feed, drain, write, arm a timer.

After every call drain `ClientSession.events` and `ClientSession.data_to_send`, act on both, and call
`ClientSession.handle_timer` at `ClientSession.next_deadline`. ``now`` is a monotonic time in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from rtstt_lab.errors import (
    ConnectionFailedError,
    LifecycleError,
    MalformedFrameError,
    RtsttError,
    ServiceError,
)
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client_link import ClientLink, ClientSettings
from rtstt_lab.protocol.client_parts import ACTIONS, Alerts, PendingControls, Text
from rtstt_lab.protocol.latency import LatencyTracker
from rtstt_lab.protocol.lifecycle import (
    TERMINAL,
    Link,
    Mode,
    Phase,
    PhaseEvent,
    Shown,
    next_phase,
    reconcile,
    shown,
)
from rtstt_lab.protocol.sender import AudioSender
from rtstt_lab.protocol.timing import ClockEstimate, earliest, to_ms
from rtstt_lab.protocol.windows import Ledger

NEVER_RETRIED: Final = frozenset({4401, 4403, 4404, 4408, 4409, 4413})
_ENDING: Final = TERMINAL | {Phase.FINALIZING}


class ClientSession:
    """One client's view of one session.

    Args:
        session_id: as ``POST /api/streaming/sessions`` answered.
        token: the session's token, or the API token.
        settings: see `ClientSettings`.
    """

    def __init__(self, session_id: str, token: str, *, settings: ClientSettings | None = None) -> None:
        self.session_id = session_id
        self.settings = settings = settings or ClientSettings()
        self.phase = Phase.IDLE
        self.mode = Mode.STREAM
        self.created: wire.SessionCreated | None = None
        self.summary: wire.Summary | None = None
        self.tracker = LatencyTracker()
        self.clock = ClockEstimate()
        self._token = token
        self._synchronised = False
        self._epoch: float | None = None
        self._events: list[ev.ClientEvent] = []
        self._out: list[str | bytes] = []
        self._link = ClientLink(settings, self._events)
        self._audio = AudioSender(settings, self.tracker)
        self._controls = PendingControls()
        self._text = Text(self.tracker)
        self._alerts = Alerts(settings, self._events)
        self._last_event = 0
        self._acked_event = 0
        self._newest_event = 0
        self._told: tuple[Link, Phase, Mode] | None = None

    # --- what can be asked at any time ------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection's state."""
        return self._link.state

    @property
    def shown(self) -> Shown:
        """What a person sees."""
        return shown(self.link, self.phase)

    @property
    def ledger(self) -> Ledger:
        """What became of every transmission and chunk, as far as is known."""
        return self._audio.ledger

    @property
    def latency(self) -> wire.LatencyFigures | None:
        """M1 so far."""
        return self.tracker.figures()

    @property
    def held_ms(self) -> int:
        """Audio that the server has not received, as far as is known."""
        return self._audio.held_ms

    @property
    def limits(self) -> wire.Limits:
        """What the session may do; the protocol's defaults until the server has told."""
        return self.created.limits if self.created else wire.Limits()

    @property
    def pending_controls(self) -> tuple[wire.ClientControl, ...]:
        """Buttons that the server is not known to have applied, oldest first."""
        return tuple(self._controls.pending)

    @property
    def finals(self) -> Sequence[wire.TranscriptionFinal]:
        """The closed segments, each once."""
        return self._text.finals

    @property
    def partials(self) -> Mapping[int, wire.TranscriptionPartial]:
        """The present views of the open segments, by segment."""
        return self._text.partials

    def clock_ms(self, now: float) -> int:
        """``now`` on the client's wire clock, which starts at the first connection or start."""
        if self._epoch is None:
            self._epoch = now
        return to_ms(now - self._epoch)

    # --- commands ---------------------------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        """Makes the first connection.

        Raises:
            LifecycleError: if there was one already.
        """
        self.clock_ms(now)
        self._link.connect(now)
        self._tell_state()

    def reconnect(self, now: float) -> None:
        """Connects again at once, by hand: a new attempt of the same session, in stream mode.

        Raises:
            LifecycleError: if the session has ended.
        """
        if self.phase in TERMINAL:
            raise LifecycleError("lifecycle", state=self.phase.value, event="reconnect")
        self.clock_ms(now)
        self._cut()
        anew = self.link is Link.CLOSED
        self._link.reconnect(now)
        self.mode = Mode.STREAM
        if anew and self.phase is Phase.FINALIZING:
            # An attempt begins at Connecting (L1); that stop was pressed already follows from it.
            self.phase = Phase.IDLE
            self._tell_state()
            self.phase = next_phase(self.phase, PhaseEvent.STOP)
        self._tell_state()

    def use_blocks(self, now: float) -> None:
        """Leaves the stream, by hand: audio is kept for block mode until `reconnect`."""
        self.clock_ms(now)
        self._cut()
        self._link.close("blocks", close=True)
        self.mode = Mode.BLOCK
        self._tell_state()

    def close(self, now: float) -> None:
        """Ends the attempt; the session itself goes on at the server until it is stopped or expires."""
        self.clock_ms(now)
        self._cut()
        self._link.close("closed", close=True, code=1000)
        self._tell_state()

    def start(self, now: float) -> None:
        """Begins, or goes on, recording.

        Raises:
            LifecycleError: if the session is ending or has ended.
        """
        self._control(PhaseEvent.START, now)

    def pause(self, now: float) -> None:
        """Suspends recording after the last chunk sent.

        Raises:
            LifecycleError: if nothing is being recorded.
        """
        self._control(PhaseEvent.PAUSE, now)

    def resume(self, now: float) -> None:
        """Goes on after a pause.

        Raises:
            LifecycleError: if nothing is being recorded.
        """
        self._control(PhaseEvent.RESUME, now)

    def stop(self, now: float) -> None:
        """Ends the session after the last chunk sent.

        Raises:
            LifecycleError: if it has ended.
        """
        self._control(PhaseEvent.STOP, now)

    def flush(self, now: float) -> None:
        """Has what was said so far settled to finals; the phase stays.

        Raises:
            LifecycleError: if nothing is being recorded.
        """
        if self.phase not in (Phase.RECORDING, Phase.PAUSED):
            raise LifecycleError("lifecycle", state=self.phase.value, event="flush")
        self._number_control("flush", now)

    def send_audio(
        self,
        payload: bytes,
        *,
        duration_ms: int,
        captured_ms: int,
        stream: int,
        mime: str | None = None,
        now: float,
    ) -> int:
        """Takes one captured chunk; it is kept until the server has disposed of it for good.

        Args:
            payload: encoded audio.
            duration_ms: of its audio, at most a minute.
            captured_ms: when its audio began, on `clock_ms`.
            stream: which recorder it came from, counted by this client from 0, ascending.
            mime: with a recorder's first chunk.
            now: of this call.

        Returns:
            Its number.

        Raises:
            LifecycleError: if nothing is being recorded. A recorder's last chunk may still come after a pause.
            UsageError: for a chunk that is too long.
        """
        if self.phase not in (Phase.RECORDING, Phase.PAUSED):
            raise LifecycleError("lifecycle", state=self.phase.value, event="send_audio")
        self.clock_ms(now)
        seq, lost = self._audio.append(
            payload, duration_ms=duration_ms, captured_ms=captured_ms, stream=stream, mime=mime
        )
        if lost:
            self._events.append(ev.ChunksLost(seq, seq, lost))
        return seq

    # --- the link ---------------------------------------------------------------------------------------------

    def link_opened(self, now: float) -> None:
        """The socket asked for by `OpenLink` is up: hello goes out.

        Raises:
            LifecycleError: if none was asked for.
        """
        self._link.socket_opened(now)
        self._out.append(
            wire.encode(
                wire.ClientHello(
                    token=self._token,
                    last_event=self._last_event,
                    held=self._audio.bounds if self._synchronised else None,
                    resuming=self._synchronised,
                    attempt=self._link.attempt,
                )
            )
        )

    def link_lost(self, reason: str, now: float, code: int | None = None) -> None:
        """The socket could not be opened, or is gone.

        Args:
            reason: for people, short.
            now: of the loss.
            code: of the close frame, if there was one.
        """
        if not self._link.in_use:
            return
        if code in NEVER_RETRIED:
            self._report(ServiceError("link_refused", code=code, reason=reason), fatal=True)
            self._give_up(reason, close=False)
        else:
            self._lose(reason, now, close=False)

    def receive_bytes(self, frame: bytes, now: float) -> None:
        """A binary frame; the server has none to send, so this one is only reported."""
        self._link.heard(now)
        self._report(MalformedFrameError("frame_malformed", reason=f"{len(frame)} bytes of binary data"))

    def receive_text(self, frame: str, now: float) -> None:
        """A text frame. What cannot be read is reported and changes nothing."""
        if not self._link.in_use:
            return
        self._link.heard(now)
        try:
            self._receive(wire.decode_server_message(frame), now)
        except RtsttError as error:
            self._report(error)

    def events(self) -> list[ev.ClientEvent]:
        """What happened since the last call, oldest first."""
        events = self._events.copy()
        self._events.clear()
        return events

    def data_to_send(self, now: float) -> list[str | bytes]:
        """The frames to write now, in order."""
        data, self._out = self._out, []
        if self.link is not Link.OPEN:
            return data
        if self._last_event > self._acked_event:
            data.append(self._ack())
        now_ms = self.clock_ms(now)
        while (frame := self._audio.next_frame(now, now_ms)) is not None:
            data.append(frame)
        return data

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing else happens before."""
        return earliest(self._link.deadline, self._audio.deadline(), self._alerts.deadline())

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``; calling it early or twice does no harm."""
        match self._link.due(now):
            case "ping":
                self._ping(now)
            case "connect_timeout" | "silence" as reason:
                self._lose(reason, now, close=True)
        self._audio.due(now)
        self._alerts.due(now)

    # --- what the server says ---------------------------------------------------------------------------------

    def _receive(self, message: wire.ServerMessage, now: float) -> None:
        match message:
            case wire.SessionCreated(sync=sync):
                self.created = message
                self._synchronise(sync, now)
            case wire.Status(sync=wire.Sync() as sync):
                self._synchronise(sync, now)
                self._events.append(ev.StatusReceived(message))
            case wire.ServerError():
                self._receive_error(message, now)
            case wire.ServerPing(sent_ms=sent_ms):
                self._out.append(wire.encode(wire.ClientPong(sent_ms)))
            case _ if self.link is not Link.OPEN:
                raise LifecycleError("lifecycle", state=self.link.value, event=type(message).__name__)
            case wire.ServerPong(sent_ms=sent_ms, server_ms=server_ms):
                self._link.proved(now)
                self.clock.add(sent_ms, server_ms, server_ms, self.clock_ms(now))
            case wire.ServerAck():
                self._receive_ack(message, now)
            case wire.TranscriptionPartial() | wire.Metrics():
                self._receive_view(message, now)
            case wire.TranscriptionFinal() | wire.Status() | wire.SessionCompleted():
                self._receive_numbered(message, now)

    def _synchronise(self, sync: wire.Sync, now: float) -> None:
        server = _phase(sync.phase)
        if self.link is Link.OPEN:
            raise LifecycleError("lifecycle", state=self.link.value, event="sync")
        if not self._synchronised:
            self._audio.take_numbers(sync)
            self._controls.take_numbers(sync)
        self._synchronised = True
        self._token = sync.token
        self._newest_event = sync.last_event
        for seq in self._audio.synchronise(sync, self.limits, now):
            self._events.append(ev.ChunksLost(seq, seq, "given_up"))
        outage_s = self._link.answered(now)
        self._follow(server, sync.controls)
        self._out += self._controls.frames()
        if outage_s is not None:
            self._events.append(ev.Resumed(self._link.attempt, outage_s, sync.next_seq))
            self._alerts.reconnected(now)

    def _receive_ack(self, ack: wire.ServerAck, now: float) -> None:
        self._link.proved(now)
        self._audio.acknowledged(ack, now)
        if ack.seq is not None:
            self.clock.add(ack.client_sent_ms, ack.received_ms, ack.sent_ms, self.clock_ms(now))
        self._controls.applied(ack.controls)
        self._events.append(ev.AckReceived(ack))

    def _receive_view(self, message: wire.TranscriptionPartial | wire.Metrics, now: float) -> None:
        if isinstance(message, wire.Metrics):
            self.tracker.heard(to_ms(message.heard_s))
            self._events.append(ev.MetricsReceived(message))
        else:
            self._text.show(message, now)
            self._events.append(ev.PartialReceived(message))
        self._alerts.latency(self.tracker.current_s(now))

    def _receive_numbered(
        self, message: wire.TranscriptionFinal | wire.Status | wire.SessionCompleted, now: float
    ) -> None:
        if not self._is_next(message.event, now):
            return
        match message:
            case wire.TranscriptionFinal():
                self._text.settle(message, now)
                self._alerts.latency(self.tracker.current_s(now))
                self._events.append(ev.FinalReceived(message))
            case wire.Status():
                self._follow(_phase(message.phase), message.controls)
                self._events.append(ev.StatusReceived(message))
            case wire.SessionCompleted(summary=summary):
                self.tracker.finish(now)
                self.summary = summary
                for phase in (Phase.FINALIZING, Phase.COMPLETED):
                    self._follow(phase, 0)
                self._audio.finish(summary.received)
                self._events.append(ev.Completed(summary))

    def _receive_error(self, message: wire.ServerError, now: float) -> None:
        if not self._is_next(message.event, now):
            return
        self._events.append(ev.ErrorReceived(message))
        retry_after_s = (message.retry_after_ms or 0) / 1000
        if message.fatal and message.retryable:
            self._lose(message.code, now, close=True, retry_after_s=retry_after_s)
        elif message.fatal:
            self._give_up(message.code, close=True)
        elif retry_after_s:
            self._audio.hold(now + retry_after_s)
        if message.code == "chunk_lost":
            self._events.append(msgspec.convert(message.parameters, ev.ChunksLost, strict=False))

    def _is_next(self, event: int, now: float) -> bool:
        """Whether a message is to be applied: unnumbered, or the next number. A gap is closed by connecting again."""
        if event > self._last_event + 1:
            self._lose("event_gap", now, close=True)
            return False
        if 0 < event <= self._last_event:
            return False
        self._last_event = event or self._last_event
        return True

    def _follow(self, server: Phase, controls: int) -> None:
        """Takes the server's phase over, with the buttons that it has not applied yet."""
        self._controls.applied(controls)
        self.phase = reconcile(self.phase, server, self._controls.steps())
        if server in _ENDING and (lost := self._audio.finish()):
            self._events.append(ev.ChunksLost(*lost, "session_over"))
        self._tell_state()

    # --- inside -----------------------------------------------------------------------------------------------

    def _control(self, event: PhaseEvent, now: float) -> None:
        phase = next_phase(self.phase, event)
        if phase is not self.phase:
            self.phase = phase
            self._number_control(ACTIONS[event], now)
            self._tell_state()

    def _number_control(self, action: wire.ControlAction, now: float) -> None:
        self.clock_ms(now)
        control = self._controls.press(action, self._audio.captured)
        if self.link is Link.OPEN:
            self._out.append(wire.encode(control))

    def _ack(self) -> str:
        self._acked_event = self._last_event
        return wire.encode(wire.ClientAck(self._last_event, self.latency))

    def _ping(self, now: float) -> None:
        self._out.append(wire.encode(wire.ClientPing(self.clock_ms(now))))
        self._out += self._controls.frames()
        self._out.append(self._ack())

    def _lose(self, reason: str, now: float, *, close: bool, retry_after_s: float = 0.0) -> None:
        self._cut()
        if self.phase in TERMINAL and self._last_event >= self._newest_event:
            self._link.close(reason, close=close)
        elif not self._link.lost(reason, now, close=close, retry_after_s=retry_after_s):
            self.mode = Mode.BLOCK
            self._report(
                ConnectionFailedError("connection_failed", attempts=self._link.attempt + 1, reason=reason)
            )
        self._tell_state()

    def _give_up(self, reason: str, *, close: bool) -> None:
        self._cut()
        self._link.close(reason, close=close)
        self._tell_state()

    def _cut(self) -> None:
        self._out.clear()
        self._audio.link_lost()

    def _report(self, error: RtsttError, *, fatal: bool = False) -> None:
        self._events.append(ev.ErrorReceived(wire.server_error(error, fatal=fatal)))

    def _tell_state(self) -> None:
        state = (self.link, self.phase, self.mode)
        if state != self._told:
            self._told = state
            self._events.append(ev.StateChanged(self.shown, *state))


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise MalformedFrameError("frame_malformed", reason=f"phase {text[:20]}") from None

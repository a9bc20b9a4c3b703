"""The client's end of a session, without a socket or a clock: feed, drain, write, arm a timer.

After every call drain `ClientSession.events` and `ClientSession.data_to_send`, act on both, and call
`ClientSession.handle_timer` at `ClientSession.next_deadline`. ``now`` is a monotonic time in seconds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from rtstt_lab.errors import (
    ConnectionFailedError,
    LifecycleError,
    MalformedFrameError,
    RtsttError,
    ServiceError,
    UsageError,
)
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client_link import ClientLink, ClientSettings
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
from rtstt_lab.protocol.timing import ClockEstimate, Counter, TokenBucket, earliest, to_ms
from rtstt_lab.protocol.windows import HeldChunk, Ledger, SendWindow

NEVER_RETRIED: Final = frozenset({4401, 4403, 4404, 4408, 4409, 4413})
MAX_DURATION_MS: Final = 60_000
_ACTIONS: Final[dict[PhaseEvent, wire.ControlAction]] = {
    PhaseEvent.START: "start",
    PhaseEvent.PAUSE: "pause",
    PhaseEvent.RESUME: "resume",
    PhaseEvent.STOP: "stop",
}
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
        self.finals: list[wire.TranscriptionFinal] = []
        self.partials: dict[int, wire.TranscriptionPartial] = {}
        self.created: wire.SessionCreated | None = None
        self.summary: wire.Summary | None = None
        self.tracker = LatencyTracker()
        self.clock = ClockEstimate()
        self._token = token
        self._events: list[ev.ClientEvent] = []
        self._out: list[str | bytes] = []
        self._link = ClientLink(settings, self._events)
        self._window = SendWindow(settings.max_buffer_bytes, settings.max_in_flight)
        self._controls: list[wire.ClientControl] = []
        self._controls_made = 0
        self._received = wire.Received()
        self._transmitted = 0
        self._epoch: float | None = None
        self._synchronised = False
        self._first_stream = 0
        self._mimes: dict[int, str] = {}
        self._mimes_told: set[int] = set()
        self._last_event = 0
        self._acked_event = 0
        self._newest_event = 0
        self._progress_at = 0.0
        self._hold_until = 0.0
        self._pace: TokenBucket | None = None
        self._reconnections = Counter(settings.reconnections_alert, settings.reconnections_window_s)
        self._alerts: set[str] = set()
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
        return self._window.ledger(self._transmitted, self._received)

    @property
    def latency(self) -> wire.LatencyFigures | None:
        """M1 so far."""
        return self.tracker.figures()

    @property
    def held_ms(self) -> int:
        """Audio that the server has not received, as far as is known."""
        return sum(chunk.duration_ms for chunk in self._window.waiting)

    @property
    def limits(self) -> wire.Limits:
        """What the session may do; the protocol's defaults until the server has told."""
        return self.created.limits if self.created else wire.Limits()

    @property
    def pending_controls(self) -> tuple[wire.ClientControl, ...]:
        """Buttons that the server is not known to have applied, oldest first."""
        return tuple(self._controls)

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
            duration_ms: of its audio, at most `MAX_DURATION_MS`.
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
        if not 0 <= duration_ms <= MAX_DURATION_MS:
            raise UsageError("chunk_duration", duration_ms=duration_ms, limit_ms=MAX_DURATION_MS)
        self.clock_ms(now)
        stream += self._first_stream
        if mime is not None:
            self._mimes[stream] = mime
        seq, lost = self._window.append(
            payload, duration_ms=duration_ms, captured_ms=max(0, captured_ms), stream=stream
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
                    held=self._window.bounds if self._synchronised else None,
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
        while (chunk := self._next_chunk(now)) is not None:
            data.append(self._audio_frame(chunk, now))
        return data

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing else happens before."""
        resend_at = pace_at = None
        if self.link is Link.OPEN:
            if self._window.unanswered:
                resend_at = self._progress_at + self.settings.resend_s
            if self._pace and self._window.to_send():
                pace_at = max(self._pace.ready_at(), self._hold_until)
        calm_at = self._reconnections.free_at() if "reconnections" in self._alerts else None
        return earliest(self._link.deadline, resend_at, pace_at, calm_at)

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``; calling it early or twice does no harm."""
        match self._link.due(now):
            case "ping":
                self._ping(now)
            case "connect_timeout" | "silence" as reason:
                self._lose(reason, now, close=True)
        if self._window.unanswered and now >= self._progress_at + self.settings.resend_s:
            self._window.ask_oldest()
            self._progress_at = now
        if "reconnections" in self._alerts and not self._reconnections.full(now):
            self._alert("reconnections", on=False, value=0)

    # --- what the server says ---------------------------------------------------------------------------------

    def _receive(self, message: wire.ServerMessage, now: float) -> None:
        match message:
            case wire.SessionCreated(sync=sync):
                self.created = message
                self._window.max_chunk_bytes = message.limits.max_chunk_bytes
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
            self._take_numbers(sync)
        self._synchronised = True
        self._token = sync.token
        self._newest_event = sync.last_event
        self._received = sync.received
        for seq in self._window.synchronise(sync.next_seq):
            self._events.append(ev.ChunksLost(seq, seq, "given_up"))
        self._window.advance(sync.next_seq, sync.committed_seq, sync.resume_seq)
        self._window.credit_ms = sync.credit_ms
        self._mimes_told.clear()
        self._progress_at = now
        self._pace = TokenBucket(self.limits.max_chunks_per_s, self.limits.max_chunks_per_s, now)
        self._pace.grant(len(self._window.waiting), now)
        outage_s = self._link.answered(now)
        self._follow(server, sync.controls)
        self._out += [wire.encode(control) for control in self._controls]
        if outage_s is not None:
            self._events.append(ev.Resumed(self._link.attempt, outage_s, sync.next_seq))
            if self._reconnections.add(now):
                self._alert("reconnections", on=True, value=self.settings.reconnections_alert)

    def _take_numbers(self, sync: wire.Sync) -> None:
        """This client is new to a session that may be further on: its numbers begin where the server's end."""
        self._window.rebase(sync.next_seq, sync.next_stream, sync.audio_ms)
        self._first_stream = sync.next_stream
        self._mimes = {stream + sync.next_stream: mime for stream, mime in self._mimes.items()}
        self._controls_made += sync.controls
        self._controls = [
            msgspec.structs.replace(c, n=c.n + sync.controls, at_seq=c.at_seq + sync.next_seq)
            for c in self._controls
        ]

    def _receive_ack(self, ack: wire.ServerAck, now: float) -> None:
        self._link.proved(now)
        self._received = ack.received
        if ack.next_seq > self._window.next_seq:
            self._progress_at = now
        self._window.advance(ack.next_seq, ack.committed_seq, ack.resume_seq)
        self._window.credit_ms = ack.credit_ms
        if ack.seq is None:
            self._window.ask(ack.missing)
        else:
            self._window.answered(ack.seq, ack.missing)
            self.clock.add(ack.client_sent_ms, ack.received_ms, ack.sent_ms, self.clock_ms(now))
        self._controls = [control for control in self._controls if control.n > ack.controls]
        self._events.append(ev.AckReceived(ack))

    def _receive_view(self, message: wire.TranscriptionPartial | wire.Metrics, now: float) -> None:
        if isinstance(message, wire.Metrics):
            self.tracker.heard(to_ms(message.heard_s))
            self._events.append(ev.MetricsReceived(message))
        else:
            self.partials[message.segment] = message
            self._result(message, now)
            self._events.append(ev.PartialReceived(message))
        self._watch_latency(now)

    def _receive_numbered(
        self, message: wire.TranscriptionFinal | wire.Status | wire.SessionCompleted, now: float
    ) -> None:
        if not self._is_next(message.event, now):
            return
        match message:
            case wire.TranscriptionFinal():
                self.finals.append(message)
                self.partials = {k: v for k, v in self.partials.items() if k > message.segment}
                self._result(message, now)
                self._events.append(ev.FinalReceived(message))
                self._watch_latency(now)
            case wire.Status():
                self._follow(_phase(message.phase), message.controls)
                self._events.append(ev.StatusReceived(message))
            case wire.SessionCompleted(summary=summary):
                self.tracker.finish(now)
                self._received = summary.received
                self.summary = summary
                if self.phase is not Phase.COMPLETED:
                    self._follow(Phase.FINALIZING, self._controls_made)
                    self._follow(Phase.COMPLETED, self._controls_made)
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
            self._hold_until = max(self._hold_until, now + retry_after_s)
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
        self._controls = [control for control in self._controls if control.n > controls]
        pending = [PhaseEvent(control.action) for control in self._controls if control.action != "flush"]
        self.phase = reconcile(self.phase, server, pending)
        if server in _ENDING and (lost := self._window.close()):
            self._events.append(ev.ChunksLost(*lost, "session_over"))
        self._tell_state()

    def _result(self, message: wire.TranscriptionPartial | wire.TranscriptionFinal, now: float) -> None:
        words_ms = [(word.start_ms, word.end_ms) for word in message.words]
        self.tracker.result(message.audio_end_ms, words_ms, now)

    # --- inside -----------------------------------------------------------------------------------------------

    def _control(self, event: PhaseEvent, now: float) -> None:
        phase = next_phase(self.phase, event)
        if phase is not self.phase:
            self.phase = phase
            self._number_control(_ACTIONS[event], now)
            self._tell_state()

    def _number_control(self, action: wire.ControlAction, now: float) -> None:
        self.clock_ms(now)
        self._controls_made += 1
        control = wire.ClientControl(action, self._controls_made, self._window.captured)
        self._controls.append(control)
        if self.link is Link.OPEN:
            self._out.append(wire.encode(control))

    def _next_chunk(self, now: float) -> HeldChunk | None:
        chunk = self._window.to_send()
        if chunk is None or now < self._hold_until or not (self._pace and self._pace.take(now)):
            return None
        return chunk

    def _audio_frame(self, chunk: HeldChunk, now: float) -> bytes:
        if not self._window.unanswered:
            self._progress_at = now
        self._window.sent(chunk)
        self._transmitted += 1
        self.tracker.sent(chunk.seq, duration_ms=chunk.duration_ms, end_ms=chunk.end_ms, now=now)
        mime = None if chunk.stream in self._mimes_told else self._mimes.get(chunk.stream)
        self._mimes_told.add(chunk.stream)
        payload = chunk.payload or b""
        header = wire.AudioHeader(
            seq=chunk.seq,
            stream=chunk.stream,
            bytes=len(payload),
            crc32=chunk.crc32,
            duration_ms=chunk.duration_ms,
            captured_ms=chunk.captured_ms,
            sent_ms=self.clock_ms(now),
            mime=mime,
            lost=chunk.payload is None,
        )
        return wire.encode_audio(header, payload)

    def _ack(self) -> str:
        self._acked_event = self._last_event
        return wire.encode(wire.ClientAck(self._last_event, self.latency))

    def _ping(self, now: float) -> None:
        self._out.append(wire.encode(wire.ClientPing(self.clock_ms(now))))
        self._out += [wire.encode(control) for control in self._controls]
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
        self._window.link_lost()

    def _watch_latency(self, now: float) -> None:
        latency_s = self.tracker.current_s(now)
        if latency_s > self.settings.latency_alert_s:
            self._alert("latency", on=True, value=latency_s)
        elif latency_s < self.settings.latency_goal_s:
            self._alert("latency", on=False, value=latency_s)

    def _alert(self, name: ev.AlertName, *, on: bool, value: float) -> None:
        if on and name not in self._alerts:
            self._alerts.add(name)
            self._events.append(ev.AlertRaised(name, value))
        elif not on and name in self._alerts:
            self._alerts.remove(name)
            self._events.append(ev.AlertCleared(name, value))

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

"""What a person can ask of a client's session, and what it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtstt_lab.errors import LifecycleError, RtsttError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client_blocks import BlockPace
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
    shown,
)
from rtstt_lab.protocol.sender import AudioSender
from rtstt_lab.protocol.timing import ClockEstimate, to_ms
from rtstt_lab.protocol.windows import Ledger


class ClientCommands:
    """One client's view of one session, and its buttons.

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
        self._blocks = BlockPace(settings)
        self._audio = AudioSender(settings, self.tracker)
        self._controls = PendingControls()
        self._text = Text(self.tracker)
        self._alerts = Alerts(settings, self._events)
        self._last_event = 0
        self._acked_event = 0
        self._newest_event = 0
        self._told: tuple[Link, Phase, Mode] | None = None

    # --- what can be asked at any time ----------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection's state."""
        return self._link.state

    @property
    def given_up(self) -> bool:
        """Whether there is no link, and nothing goes in blocks: only `reconnect` or `use_blocks` goes on."""
        return self.link is Link.CLOSED and not self._blocks.active

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

    # --- commands -------------------------------------------------------------------------------------------

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
        self._blocks.leave()
        self.mode = Mode.STREAM
        if self.link is Link.CLOSED:
            self._begin_attempt()
        self._link.reconnect(now)
        self._tell_state()

    def use_blocks(self, now: float) -> None:
        """Leaves the stream, by hand: audio goes in blocks until `reconnect`.

        Raises:
            LifecycleError: if the session has ended.
        """
        if self.phase in TERMINAL:
            raise LifecycleError("lifecycle", state=self.phase.value, event="use_blocks")
        self.clock_ms(now)
        self._cut()
        self._link.close("blocks", close=True)
        self.mode = Mode.BLOCK
        self._blocks.enter(now, tries_link=False)
        self._tell_state()

    def close(self, now: float) -> None:
        """Ends the attempt; the session itself goes on at the server until it is stopped or expires."""
        self.clock_ms(now)
        self._cut()
        self._blocks.leave()
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
            LifecycleError: if nothing is being recorded. A recorder's last chunk may still come after a
                pause.
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

    # --- inside ---------------------------------------------------------------------------------------------

    def _control(self, event: PhaseEvent, now: float) -> None:
        phase = next_phase(self.phase, event)
        if phase is not self.phase:
            self.phase = phase
            self._number_control(ACTIONS[event], now)
            self._tell_state()

    def _number_control(self, action: wire.ControlAction, now: float) -> None:
        self.clock_ms(now)
        control = self._controls.press(action, self._audio.captured)
        self._blocks.hasten(now)
        if self.link is Link.OPEN:
            self._out.append(wire.encode(control))

    def _begin_attempt(self) -> None:
        """A new attempt begins at Connecting (L1), whatever was pressed already."""
        self._link.begin_anew()
        phase, self.phase = self.phase, Phase.IDLE
        self._tell_state()
        self.phase = phase

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

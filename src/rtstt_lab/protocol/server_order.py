"""Chunks and buttons in their order, from the intake to the engine, also where another server had begun."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rtstt_lab.errors import AudioFormatError, LifecycleError, SequenceError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import TERMINAL, Link, Phase, PhaseEvent, next_phase, shown
from rtstt_lab.protocol.server_voice import ServerVoice

ENDING: Final = TERMINAL | {Phase.FINALIZING}
_MAX_LOST_EVENTS: Final = 1_000


class ServerOrder(ServerVoice):
    """Gives out what was received, each chunk and button once.

    See `ServerVoice` for its arguments.
    """

    def take_up(self) -> None:
        """Goes on where the journal ends: what was said to the end needs no audio any more."""
        if self.phase in ENDING and self._until_seq is not None and self.committed_seq >= self._until_seq:
            self._skip_disposed()
        self._catch_up()

    @property
    def _end_seq(self) -> int | None:
        """Where the audio ends that one that ends wants again; ``None`` if it wants none."""
        return self._until_seq if self.phase in ENDING else None

    @property
    def _open(self) -> bool:
        """Whether audio is taken: one that ends, too, wants again what it had when its server was killed."""
        return self.phase not in ENDING or self._until_seq is not None

    def _settle(self) -> None:
        """Gives out what has come, chunks and buttons in their order."""
        self._apply_controls(self.next_seq)
        holes: list[ev.HoleDeclared] = []
        while self._open and (outcome := self._intake.deliver()) is not None:
            self._events.append(outcome)
            if isinstance(outcome, ev.HoleDeclared):
                holes.append(outcome)
            self._apply_controls(self.next_seq)
        self._tell_holes(holes)

    def _declare_gap(self) -> None:
        """Gives the missing chunks up, buttons between them in their order.

        A page that was loaded again has nothing of what came before it, though a server that was killed since
        asks for some of that: what is disposed of is no loss, and its length is known.
        """
        gap_end = self._intake.gap_end
        if gap_end is not None and self.next_seq < self.committed_seq:
            self._skip_disposed(min(gap_end, self.committed_seq))
        else:
            self._lose(self._intake.give_up_gap(self._links.now))

    def _lose(self, lost: Iterator[ev.HoleDeclared]) -> None:
        holes: list[ev.HoleDeclared] = []
        for hole in lost:
            self._events.append(hole)
            holes.append(hole)
            self._apply_controls(self.next_seq)
            if not self._open:
                break
        self._tell_holes(holes)

    def _skip_unheld(self, first_seq: int) -> None:
        """Goes on behind what is disposed of and lies before all that its client holds: nobody brings it.

        Args:
            first_seq: the first chunk that the client holds.
        """
        before_seq = min(first_seq, self.committed_seq)
        if self.next_seq < before_seq and not self._intake.waiting_ms(before_seq):
            self._skip_disposed(before_seq)

    def _skip_disposed(self, before_seq: int | None = None) -> None:
        """Goes on behind what was said and is known, where nobody sends it again for the decoder.

        Args:
            before_seq: as far as the first chunk that somebody did send, or may yet: of the missing ones is
                known how long they are together, and how many. ``None``: all of it, and nothing follows of
                its recorder.
        """
        if self._restored and self.next_seq <= self.committed_seq:
            again_ms = self.audio_ms - self._restored.intake.audio_ms
            left_ms = max(0, self._restored.disposed_ms - again_ms)
            if before_seq is None:
                before_seq, self._intake.header_seq = self.committed_seq, None
            else:
                waiting_ms = self._intake.waiting_ms(self.committed_seq)
                missing = self.committed_seq - self.next_seq - len(waiting_ms)
                left_ms = max(0, left_ms - sum(waiting_ms)) * (before_seq - self.next_seq) // missing
            self._events += self._intake.skip_disposed(before_seq, left_ms, self._links.now)
            self._apply_controls(self.next_seq)

    def _skip_events(self, last_event: int) -> None:
        """Numbers on from the client's newest event, where a power cut has cost the journal its end."""
        journaled = len(self._restored.frames) if self._restored else 0
        for _ in range(self._log.last, min(last_event, journaled + _MAX_LOST_EVENTS)):
            self._log.add(wire.Status(shown(Link.OPEN, self.phase).value, self.phase.value))

    def _catch_up(self) -> None:
        """Tells the button again that was the last, once all audio before it is here as it was then."""
        if self._until_seq is not None and self.next_seq >= self._until_seq:
            self._until_seq = None
            if self.phase in (Phase.PAUSED, Phase.FINALIZING):
                action: wire.ControlAction = "pause" if self.phase is Phase.PAUSED else "stop"
                self._events.append(ev.ControlApplied(action, self._controls.applied, self.next_seq))

    def _tell_holes(self, holes: list[ev.HoleDeclared]) -> None:
        """Says what is lost; and, once a recorder, that nothing of it can be read."""
        self._ack_due |= bool(holes)
        for hole in holes:
            if self._losses.add(hole):
                error = AudioFormatError("stream_unknown", seq=hole.seq, stream=hole.stream)
                self.error(error, seq=hole.seq, numbered=True)
        self._tell_losses()

    def _tell_losses(self) -> None:
        for first, last, reason in self._losses.take(self._links.now, everything=not self._open):
            error = SequenceError("chunk_lost", first=first, last=last, reason=reason)
            self.error(error, seq=first, numbered=True)

    def _apply_controls(self, next_seq: int | None) -> None:
        """Applies the buttons whose audio has come; for ``None`` all, come what may."""
        self._catch_up()
        while (control := self._controls.pop(next_seq)) is not None:
            self._ack_due = True
            if control.action == "flush":
                if self.phase in (Phase.RECORDING, Phase.PAUSED):
                    self._events.append(ev.ControlApplied("flush", control.n, control.at_seq))
                else:
                    self._refuse_control(control)
                continue
            try:
                phase = next_phase(self.phase, PhaseEvent(control.action))
            except LifecycleError:
                self._refuse_control(control)
                continue
            if phase is not self.phase:
                self.phase = phase
                self._events.append(ev.ControlApplied(control.action, control.n, control.at_seq))
                if control.action != "stop":
                    self.status()

    def _refuse_control(self, control: wire.ClientControl) -> None:
        self.error(LifecycleError("lifecycle", state=self.phase.value, event=control.action))

    def _stop_waiting(self) -> None:
        """What is before the buttons, or the end, does not come: goes on without."""
        if self.next_seq < self.committed_seq and not self._intake.waiting_ms(self.committed_seq):
            self._skip_disposed(self.committed_seq)
        if self._end_seq is not None:
            self._lose(self._intake.give_up_before(self._end_seq))
            self._audio_at = self._links.now
        self._apply_controls(None)
        self._settle()

    def _control_deadline(self) -> float | None:
        return None if self.link is None else self._waits_until()

    def _waits_until(self) -> float | None:
        """How long the audio before buttons, or before the end, is waited for, if it may be sent at all."""
        waits = self._controls.waiting or self._end_seq is not None
        if not waits or self._intake.credit_ms <= 0:
            return None
        return self._audio_at + self._settings.control_wait_s

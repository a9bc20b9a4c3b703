"""The server's end of a session, without a socket or a clock: links by number.

The session outlives its links; at most one of them is its client at a time. After every call drain
`ServerSession.events` and `ServerSession.data_to_send`: write the data first, then close what `CloseLink`
names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from rtstt_lab.errors import (
    AuthenticationError,
    LifecycleError,
    MalformedFrameError,
    RtsttError,
    SequenceError,
)
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import Record, split_block
from rtstt_lab.protocol.lifecycle import Link, Phase, PhaseEvent, next_phase
from rtstt_lab.protocol.server_links import ServerSettings
from rtstt_lab.protocol.server_order import ENDING, ServerOrder
from rtstt_lab.protocol.timing import earliest

__all__ = ["ServerSession", "ServerSettings"]

_CREDIT_STEP_MS: Final = 1_000
_MAX_RECEIPT_EVENTS: Final = 256


class ServerSession(ServerOrder):
    """One session, as the server keeps it: what comes in, and what follows from it.

    See `ServerVoice` for its arguments.
    """

    # --- links ----------------------------------------------------------------------------------------------

    def link_opened(self, now: float, link: int) -> None:
        """A socket was accepted; it has `ServerSettings.hello_s` to say hello."""
        self._links.tick(now)
        self._links.opened(link)

    def link_lost(self, link: int, now: float) -> None:
        """A socket is gone."""
        self._links.tick(now)
        self._links.lost(link)

    def receive_text(self, frame: str, now: float, link: int) -> None:
        """A text frame. What cannot be used is answered with an error and changes nothing."""
        self._links.tick(now)
        if not self._links.heard(link, len(frame)):
            return
        try:
            message = wire.decode_client_message(frame)
            if self._links.is_waiting(link):
                self._welcome(self._links.admit(message, link))
            else:
                self._receive(message)
        except RtsttError as error:
            self._links.refuse(error, link)

    def receive_bytes(self, frame: bytes, now: float, link: int) -> None:
        """A binary frame: a chunk of audio."""
        self._links.tick(now)
        if not self._links.heard(link, len(frame)):
            return
        try:
            if self._links.is_waiting(link):
                raise AuthenticationError("hello_first")
            self._receive_audio(*wire.split_audio(frame))
        except RtsttError as error:
            if isinstance(error, MalformedFrameError):
                self._intake.count_unreadable()
                self._ack_due = True
            self._links.refuse(error, link)

    def receive_block(
        self, body: bytes, now: float, *, token: str, after: int, new: bool = False
    ) -> wire.BlockReceipt:
        """Chunks and buttons by another way (rule 10): their numbers, checks, order and marks are the same.

        Args:
            body: records, see `split_block`; without any it only asks what is new.
            now: of its arrival.
            token: of the session, or the API token.
            after: the highest numbered event that the client has applied.
            new: the client was not answered before in this session.

        Raises:
            AuthenticationError: the token is not valid.
            MalformedFrameError: a record cannot be read; nothing was taken then.
        """
        self._links.tick(now)
        if self._tokens.check(token) is None:
            raise AuthenticationError("authentication")
        records = split_block(body)
        if new:
            self._forget_other_client()
        elif self._restored:
            self._skip_events(after)
        if not self._met:
            self._audio_at = now
        else:  # what nobody was there for does not count
            away_s = now - self._block_at - self._settings.silence_s
            self._audio_at = min(now, self._audio_at + max(0.0, away_s))
        lacks = self._met and self._begins_late(records)
        self._met, self._block_at = True, now
        self._intake.block_came(len(records), now)
        rejected = tuple(rejection for record in records if (rejection := self._take_record(record)))
        if lacks and self._intake.gap_overdue(now):
            self._declare_gap()
            self._settle()
        if (deadline := self._waits_until()) is not None and now >= deadline:
            self._stop_waiting()
        self._acknowledge(min(after, self._log.last))
        frames = self._log.after(after)[:_MAX_RECEIPT_EVENTS]
        return wire.BlockReceipt(
            ack=self._ack(None, 0),
            phase=self.phase.value,
            header_seq=self._intake.header_seq,
            end_seq=self._end_seq,
            events=tuple(map(wire.decode_numbered, frames)),
            rejected=rejected,
            last_event=self._log.last,
            next_stream=self._intake.next_stream,
            audio_ms=self.audio_ms,
        )

    def events(self) -> list[ev.ServerEvent]:
        """What happened since the last call, oldest first."""
        events = self._events.copy()
        self._events.clear()
        return events

    def data_to_send(self, now: float) -> list[tuple[int, str | bytes]]:
        """The frames to write now, each with its link, in order."""
        self._links.tick(now)
        self._flush_ack()
        data = self._out.copy()
        self._out.clear()
        return data

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing else happens before."""
        return earliest(
            self._links.deadline(),
            self._intake.gap_deadline(),
            self._control_deadline(),
            self._losses.deadline(),
        )

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``; calling it early or twice does no harm."""
        self._links.tick(now)
        self._links.due()
        if (deadline := self._intake.gap_deadline()) is not None and now >= deadline:
            self._declare_gap()
            self._settle()
            self._ack_due = True  # the loss was told before what waited behind it was given out
        if (deadline := self._control_deadline()) is not None and now >= deadline:
            self._stop_waiting()
        self._tell_losses()

    # --- the engine's steps ---------------------------------------------------------------------------------

    def set_phase(self, event: PhaseEvent) -> None:
        """The server's own steps: a limit stops the session (``STOP``), it is saved, or it failed.

        Raises:
            LifecycleError: if the phase does not allow it; nothing has changed then.
        """
        phase = next_phase(self.phase, event)
        if phase is not self.phase:
            self.phase, self._until_seq = phase, None
            self._tell_losses()
            if phase is not Phase.COMPLETED:
                self.status()

    def completed(self, summary: wire.Summary) -> int:
        """The transcript is saved: tells the summary, ledger and latency filled in.

        Returns:
            Its event number; once it is acknowledged the client's link is closed.

        Raises:
            LifecycleError: if the session was not being finished.
        """
        if self.phase is not Phase.COMPLETED:
            self.set_phase(PhaseEvent.SAVED)
        summary = msgspec.structs.replace(
            summary, received=self.received, latency=summary.latency or self.latency
        )
        self._completed_event = self._number(wire.SessionCompleted(summary, 0))
        return self._completed_event

    def commit(self, committed_seq: int, resume_seq: int) -> None:
        """Moves the marks: chunks below both are not needed any more. They never move back."""
        marks = (
            max(self.committed_seq, min(committed_seq, self.next_seq)),
            max(self.resume_seq, min(resume_seq, self.next_seq)),
        )
        self._ack_due |= marks != (self.committed_seq, self.resume_seq)
        self.committed_seq, self.resume_seq = marks

    def set_credit(self, credit_ms: int) -> None:
        """How much more audio there is room for; less than none if the client has sent more than it may."""
        self._intake.credit_ms = credit_ms
        opened = self._credit_told == 0 < credit_ms
        self._ack_due |= opened or abs(self.credit_ms - self._credit_told) >= _CREDIT_STEP_MS

    # --- what the client says -------------------------------------------------------------------------------

    def _welcome(self, hello: wire.ClientHello) -> None:
        if not hello.resuming:
            self._forget_other_client()
        elif self._restored:
            self._skip_events(hello.last_event)
            self._skip_unheld(hello.held[0] if hello.held else self.committed_seq)
        # What was told by now is in the log, and in the greeting.
        self._out[:] = [(link, frame) for link, frame in self._out if link != self.link]
        if not self._met and hello.held and hello.resuming:
            self._held_seq = hello.held[1] + 1
        first, last = hello.held or (0, -1)
        wanted = max(first, self.next_seq) if hello.resuming else first
        held_from = first if hello.resuming else 0
        self._intake.link_opened(max(0, last - wanted + 1), held_from, self._links.now)
        self._audio_at = self._links.now
        self._ack_due = False
        self._credit_told = self.credit_ms
        sync = wire.Sync(
            token=self._tokens.issue(),
            phase=self.phase.value,
            next_seq=self.next_seq,
            committed_seq=self.committed_seq,
            resume_seq=self.resume_seq,
            controls=self._controls.applied,
            last_event=self._log.last,
            received=self.received,
            credit_ms=self.credit_ms,
            next_stream=self._intake.next_stream,
            audio_ms=self.audio_ms,
            header_seq=self._intake.header_seq,
            end_seq=self._end_seq,
        )
        if hello.resuming:
            welcome: wire.Message = wire.Status(
                state="connected",
                phase=self.phase.value,
                controls=self._controls.applied,
                resumed=True,
                sync=sync,
                degraded=self.degraded,
                language=self.language,
            )
        else:
            welcome = wire.SessionCreated(
                self.session_id, wire.PROTOCOL, self.model, self.language, self.limits, sync
            )
        self._links.send(welcome)
        for frame in self._log.after(hello.last_event):
            self._links.send_frame(frame)
        if self._links.client is not None:
            self._events.append(ev.Opened(self._links.client, self._met))
        self._met = True

    def _forget_other_client(self) -> None:
        """A new client numbers on from here: what another one still owed will not come."""
        self._skip_disposed()
        if self._until_seq is not None:
            self._lose(self._intake.give_up_before(self._until_seq))
        while self._intake.gap_end is not None and self._open:
            self._declare_gap()
            self._settle()
        self._apply_controls(None)
        self._controls.clear()

    def _receive(self, message: wire.ClientMessage) -> None:
        match message:
            case wire.AudioText():
                fields = {name: getattr(message, name) for name in wire.AudioHeader.__struct_fields__}
                self._receive_audio(wire.AudioHeader(**fields), message.data)
            case wire.ClientControl():
                self._take_control(message)
            case wire.ClientAck():
                self._receive_ack(message)
            case wire.ClientPing(sent_ms=sent_ms):
                self._queue(wire.ServerPong(sent_ms, self._links.clock_ms()))
            case wire.ClientPong():
                pass
            case wire.ClientHello():
                raise LifecycleError("lifecycle", state=Link.OPEN.value, event="client:hello")

    def _begins_late(self, records: Sequence[Record]) -> bool:
        """Whether a block begins behind what is wanted, as its client knows: it has no more of that.

        Of what it lacks, what is disposed of is passed over.
        """
        headers = (record[0] for record in records if isinstance(record, tuple))
        first_seq = min((header.seq for header in headers if not header.header), default=0)
        self._skip_unheld(first_seq)
        return first_seq > self.next_seq

    def _take_record(self, record: Record) -> wire.RejectedRecord | None:
        if isinstance(record, wire.ClientControl):
            self._take_control(record)
            return None
        if isinstance(record, wire.ClientAck):
            self._acknowledge(min(record.event, self._log.last), record.latency)
            return None
        header, payload = record
        problem = self._take_audio(header, payload)
        return wire.RejectedRecord(header.seq, problem.key, str(problem)) if problem else None

    def _take_control(self, control: wire.ClientControl) -> None:
        if self._controls.add(control, self._links.now):
            self._audio_at = self._links.now
        self._ack_due |= control.n <= self._controls.applied
        self._settle()

    def _take_audio(self, header: wire.AudioHeader, payload: bytes) -> RtsttError | None:
        self._audio_at = self._links.now
        ended = self.phase in ENDING and header.seq >= (self._until_seq or 0)
        problem = self._intake.take(header, payload, self._links.now, ended=ended)
        self._settle()
        return problem

    def _receive_audio(self, header: wire.AudioHeader, payload: bytes) -> None:
        problem = self._take_audio(header, payload)
        self._flush_ack()
        self._send_ack(header.seq, header.sent_ms)
        if problem is not None:
            self._links.refuse(problem, seq=header.seq)

    def _receive_ack(self, ack: wire.ClientAck) -> None:
        if ack.event > self._log.last:
            raise SequenceError("event_unknown", event=ack.event, last=self._log.last)
        self._acknowledge(ack.event, ack.latency)

    def _acknowledge(self, event: int, latency: wire.LatencyFigures | None = None) -> None:
        self.latency = latency or self.latency
        self.acknowledged_event = max(self.acknowledged_event, event)
        self._events.append(ev.Acknowledged(self.acknowledged_event, latency))
        if self._completed_event is not None and event >= self._completed_event:
            self._links.end_client(1000, "completed")

"""The client's end of a session, without a socket or a clock: feed, drain, write, arm a timer.

After every call drain `ClientSession.events` and `ClientSession.data_to_send`, act on both, and call
`ClientSession.handle_timer` at `ClientSession.next_deadline`. ``now`` is a monotonic time in seconds.
"""

from __future__ import annotations

from typing import Final

from rtstt_lab.errors import (
    ConnectionFailedError,
    LifecycleError,
    MalformedFrameError,
    RtsttError,
    ServiceError,
)
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import encode_block, sync_of
from rtstt_lab.protocol.client_commands import ClientCommands
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.client_parts import lost_chunks
from rtstt_lab.protocol.lifecycle import RECORDED, TERMINAL, Link, Mode, Phase, reconcile
from rtstt_lab.protocol.timing import earliest, to_ms

__all__ = ["NEVER_RETRIED", "ClientSession", "ClientSettings"]

NEVER_RETRIED: Final = frozenset({4401, 4403, 4404, 4408, 4409, 4413})
NO_BLOCKS: Final = frozenset({"authentication", "origin_refused", "session_unknown", "session_no_uuid"})
"""Refusals of a block after which none is tried."""
_ENDING: Final = TERMINAL | {Phase.FINALIZING}


class ClientSession(ClientCommands):
    """One client's end of one session: its link, and what the server says.

    See `ClientCommands` for its arguments.
    """

    # --- the link -------------------------------------------------------------------------------------------

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
                    held=self._audio.bounds,
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

    def block_answered(self, block: int, receipt: wire.BlockReceipt, now: float) -> None:
        """The server's answer to a `SendBlock`; one that is not waited for any more changes nothing."""
        if not self._blocks.awaits(block):
            return
        try:
            self._receive_receipt(block, receipt, now)
        except RtsttError as error:
            self.block_failed(block, str(error), now)

    def block_failed(
        self, block: int, reason: str, now: float, *, retry_after_s: float = 0.0, code: str | None = None
    ) -> None:
        """A `SendBlock` got no answer, or a refusal.

        Args:
            block: its number.
            reason: for people, short.
            now: of the failure.
            retry_after_s: what the server asked for.
            code: of a refusal by the server itself.
        """
        if not self._blocks.awaits(block):
            return
        if self.over:
            self._blocks.leave()
        elif code in NO_BLOCKS:
            self._give_blocks_up(ConnectionFailedError("blocks_refused", reason=reason))
        else:
            self._blocks.failed(reason, now, retry_after_s)

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
        return earliest(
            self._link.deadline, self._audio.deadline(), self._alerts.deadline(), self._blocks.deadline
        )

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``; calling it early or twice does no harm."""
        match self._link.due(now):
            case "ping":
                self._ping(now)
            case "connect_timeout" | "silence" as reason:
                self._lose(reason, now, close=True)
        match self._blocks.due(now):
            case "send":
                self._send_block(now)
            case "timeout":
                self.block_failed(self._blocks.number, "timeout", now)
            case "give_up":
                self._give_blocks_up(ConnectionFailedError("blocks_refused", reason=self._blocks.reason))
            case "try_link" if self.link is Link.CLOSED and self.phase in RECORDED:
                self._link.try_again(now)
                self._tell_state()
        self._audio.due(now)
        self._alerts.due(now)

    # --- what the server says -------------------------------------------------------------------------------

    def _receive(self, message: wire.ServerMessage, now: float) -> None:
        match message:
            case wire.SessionCreated(sync=sync):
                self.created = message
                self._synchronise(sync, now)
            case wire.Status(sync=wire.Sync() as sync):
                self._synchronise(sync, now)
                self._events.append(ev.StatusReceived(message))
            case wire.ServerError():
                self._receive_numbered(message, now)
            case wire.ServerPing(sent_ms=sent_ms):
                self._out.append(wire.encode(wire.ClientPong(sent_ms)))
            case _ if self.link is not Link.OPEN:
                self._receive_outcome(message, now)
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
        self._adopt(sync)
        self._blocks.leave()
        self.mode = Mode.STREAM
        outage_s = self._link.answered(now)
        self._audio.link_opened(self.limits, now)
        self._follow(server, sync.controls)
        self._out += self._controls.frames()
        if outage_s is not None:
            self._events.append(ev.Resumed(self._link.attempt, outage_s, sync.next_seq))
            self._alerts.reconnected(now)

    def _adopt(self, sync: wire.Sync) -> None:
        """Goes on from where the server stands."""
        if not self._synchronised:
            self._audio.take_numbers(sync)
            self._controls.take_numbers(sync)
        self._synchronised = True
        self._token = sync.token
        self._newest_event = sync.last_event
        self._last_event = min(self._last_event, sync.last_event)
        for seq in self._audio.synchronise(sync, self.limits):
            self._events.append(ev.ChunksLost(seq, seq, "given_up"))

    def _receive_receipt(self, block: int, receipt: wire.BlockReceipt, now: float) -> None:
        server, wanted, known = _phase(receipt.phase), self._audio.next_seq, self._last_event
        anew = not self._blocks.synchronised
        self._adopt(sync_of(receipt, self._token))
        self._events.append(ev.BlockReceived(block, receipt))
        for message in receipt.events:
            if message.event == self._last_event + 1 or isinstance(message, wire.SessionCompleted):
                self._last_event = message.event
                self._apply(message, now)
        for record in receipt.rejected:
            error = wire.ServerError(record.code, record.message, retryable=True, seq=record.seq)
            self._apply(error, now)
        self._follow(server, receipt.ack.controls)
        if self.over and known == self._last_event:  # that was told, too
            self._blocks.leave()
        if not self._blocks.active:
            return
        progress = anew or self._audio.next_seq > wanted
        at_once = self._last_event > known or (progress and self._audio.may_send)
        self._blocks.answered(now, at_once=at_once)

    def _receive_outcome(self, message: wire.ServerMessage, now: float) -> None:
        """The session ended while this client was away: what is left of it says how, and nothing else."""
        if not isinstance(message, wire.SessionCompleted):
            raise LifecycleError("lifecycle", state=self.link.value, event=type(message).__name__)
        self._link.answered(now)
        self._last_event = self._newest_event = message.event
        self._apply(message, now)

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

    def _receive_numbered(self, message: wire.NumberedMessage, now: float) -> None:
        if self._is_next(message.event, now):
            self._apply(message, now)

    def _apply(self, message: wire.NumberedMessage, now: float) -> None:
        match message:
            case wire.TranscriptionFinal():
                self._text.settle(message, now)
                self._alerts.latency(self.tracker.current_s(now))
                self._events.append(ev.FinalReceived(message))
            case wire.Status():
                self._follow(_phase(message.phase), message.controls)
                self._events.append(ev.StatusReceived(message))
            case wire.ServerError():
                self._apply_error(message, now)
            case wire.SessionCompleted(summary=summary):
                self.tracker.finish(now)
                self.summary = summary
                for phase in (Phase.FINALIZING, Phase.COMPLETED):
                    self._follow(phase, 0)
                if lost := self._audio.finish(summary.received):
                    self._events.append(ev.ChunksLost(*lost, "session_over"))
                self._events.append(ev.Completed(summary))

    def _apply_error(self, message: wire.ServerError, now: float) -> None:
        self._events.append(ev.ErrorReceived(message))
        retry_after_s = (message.retry_after_ms or 0) / 1000
        if message.fatal and message.retryable:
            self._lose(message.code, now, close=True, retry_after_s=retry_after_s)
        elif message.fatal:
            self._give_up(message.code, close=True)
        elif retry_after_s:
            self._audio.hold(now + retry_after_s)
        if message.code == "chunk_after_stop" and message.seq is not None:
            self._take_no_more(message.seq)
        if message.code == "chunk_lost":
            self._events.append(lost_chunks(message))

    def _is_next(self, event: int, now: float) -> bool:
        """Whether a message is to be applied; a gap in the numbers is closed by connecting again."""
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
        phase = reconcile(self.phase, server, self._controls.steps())
        if phase is Phase.COMPLETED is not self.phase and self.link is Link.CLOSED:
            self._begin_attempt()  # what blocks have brought to its end is an attempt of its own (L1)
        self.phase = phase
        if server in _ENDING:
            self._take_no_more(self._controls.stopped_at)
        self._tell_state()
        if phase is Phase.COMPLETED and self._blocks.active and self.link is not Link.CLOSED:
            self._link.close("completed", close=True)
            self._tell_state()

    def _take_no_more(self, end: int) -> None:
        """The server takes what it has received, or lies below ``end``, and nothing beyond."""
        if lost := self._audio.close(end):
            self._events.append(ev.ChunksLost(*lost, "session_over"))

    # --- inside ---------------------------------------------------------------------------------------------

    def _ack(self) -> str:
        self._acked_event = self._last_event
        return wire.encode(wire.ClientAck(self._last_event, self.latency))

    def _ping(self, now: float) -> None:
        self._out.append(wire.encode(wire.ClientPing(self.clock_ms(now))))
        self._out += self._controls.frames()
        self._out.append(self._ack())

    def _send_block(self, now: float) -> None:
        """The next block; before the server has said where it stands, nothing but the question."""
        frames: list[bytes] = []
        if self._blocks.synchronised:
            max_bytes = min(self._blocks.max_bytes, self.limits.max_block_bytes // 2)
            frames = self._audio.block(now, self.clock_ms(now), max_bytes)
        buttons = self._controls.pending if self._synchronised else []
        figures = [wire.ClientAck(self._last_event, self.latency)] if self.latency else []
        self._acked_event = self._last_event
        self._events.append(
            ev.SendBlock(
                self._blocks.sent(now),
                encode_block([*buttons, *figures], frames),
                self._last_event,
                new=not self._synchronised,
                token=self._token,
            )
        )

    @property
    def over(self) -> bool:
        """Whether the session has ended and all that was said of it is here."""
        return self.phase in TERMINAL and self._last_event >= self._newest_event

    def _lose(self, reason: str, now: float, *, close: bool, retry_after_s: float = 0.0) -> None:
        self._cut()
        if self.over:
            self._link.close(reason, close=close)
        elif self._link.lost(reason, now, close=close, retry_after_s=retry_after_s):
            pass
        elif self._blocks.active:
            self._blocks.link_failed(now)
        else:
            self.mode = Mode.BLOCK
            self._blocks.enter(now, tries_link=True)
            self._report(
                ConnectionFailedError("connection_failed", attempts=self._link.attempt + 1, reason=reason)
            )
        self._tell_state()

    def _give_up(self, reason: str, *, close: bool) -> None:
        self._cut()
        self._blocks.leave()
        self._link.close(reason, close=close)
        self._tell_state()

    def _give_blocks_up(self, error: RtsttError) -> None:
        self._report(error, fatal=True)
        self._give_up(error.key, close=True)


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise MalformedFrameError("frame_malformed", reason=f"phase {text[:20]}") from None

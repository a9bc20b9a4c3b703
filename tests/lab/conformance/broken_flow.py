"""Servers that break the rules of flow: 7, 8 (limits), 9 (pause), 10 (blocks), 11 (clocks), 12 (bounds)."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.errors import MalformedFrameError, ServiceError
from rtstt_lab.protocol import frames, intake
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol import server as protocol_server
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.protocol.server_parts import Controls
from rtstt_lab.protocol.timing import TokenBucket

from .breaking import broken

# --- rules 7 and 8: flow and limits -------------------------------------------------------------------------


@broken("7", "R7.credit")
def credit_never_shrinks(patch):
    patch(ServerSession, "credit_ms", property(lambda self: self.limits.credit_ms))


@broken("7", "R7.queue_full")
def a_full_queue_takes_everything(patch):
    def unlimited(self, header, payload, *_):
        intake.check_payload(header, payload, self._limits.max_chunk_bytes)

    patch(Intake, "_check", unlimited)


@broken("8", "R8.chunk_rate")
def any_rate_is_taken(patch):
    patch(TokenBucket, "take", lambda *_: True)


@broken("8", "R8.burst_after_reconnect")
def held_audio_counts_against_the_rate(patch):
    patch(TokenBucket, "grant", lambda *_: None)


# --- rule 9: pause ------------------------------------------------------------------------------------------


@broken("9", "R9.pause_at")
def buttons_take_effect_on_arrival(patch):
    pop = Controls.pop
    patch(Controls, "pop", lambda self, next_seq: pop(self, None))


@broken("9", "R9.settled", "R9.flush", long=True, recognition_s=15.0)
def nothing_is_settled_when_asked_for(patch):
    patch(Pipeline, "settle", lambda self: None)


@broken("9", "R9.in_order")
def buttons_overtake_each_other(patch):
    def overtaking(self, control, now):
        if control.n > self.applied:
            self.applied = control.n - 1
            self._pending[control.n] = control

    patch(Controls, "add", overtaking)


@broken("9", "R9.clock_stops", long=True)
def pauses_count_as_audio(patch):
    completed = ServerSession.completed

    def longer(self, summary):
        return completed(self, msgspec.structs.replace(summary, duration_s=summary.duration_s + 60))

    patch(ServerSession, "completed", longer)


# --- rule 10: blocks ----------------------------------------------------------------------------------------


@broken("10", "R10.same_numbers", "R10.checks")
def blocks_number_on_their_own(patch):
    take = ServerSession._take_record

    def afresh(self, record):
        if isinstance(record, tuple):
            header, payload = record
            record = msgspec.structs.replace(header, seq=self.next_seq), payload
        return take(self, record)

    patch(ServerSession, "_take_record", afresh)


@broken("10", "R10.poll", "R10.whole_session", long=True)
def blocks_tell_no_events(patch):
    _receipts(patch, events=())


@broken("10", "R10.checks", long=True)
def rejected_records_are_not_told(patch):
    _receipts(patch, rejected=())


@broken("10", "R10.refusals", long=True)
def torn_blocks_are_passed_over(patch):
    split = protocol_server.split_block

    def lenient(body):
        with suppress(MalformedFrameError):
            return split(body)
        return []

    patch(protocol_server, "split_block", lenient)


def _receipts(patch, **changes):
    receive = ServerSession.receive_block

    def receipt(self, *arguments, **options):
        return msgspec.structs.replace(receive(self, *arguments, **options), **changes)

    patch(ServerSession, "receive_block", receipt)


# --- rule 11: clocks ----------------------------------------------------------------------------------------


@broken("11", "R11.acks")
def the_servers_clock_stands(patch):
    patch(ServerLinks, "clock_ms", lambda self: 5)


@broken("11", "R11.acks", long=True)
def the_clients_time_is_not_echoed(patch):
    send = ServerSession._send_ack
    patch(ServerSession, "_send_ack", lambda self, seq, sent_ms: send(self, seq, 0))


@broken("11", "R11.pongs")
def pongs_come_from_another_clock(patch):
    queue = ServerSession._queue

    def early(self, message):
        if isinstance(message, wire.ServerPong):
            message = msgspec.structs.replace(message, server_ms=message.server_ms + 60_000)
        queue(self, message)

    patch(ServerSession, "_queue", early)


# --- rule 12: bounds ----------------------------------------------------------------------------------------


@broken("12", "R12.header_bound")
def headers_are_as_long_as_they_like(patch):
    patch(frames, "MAX_HEADER_BYTES", 2**20)


@broken("12", "R12.window")
def chunks_wait_however_far_ahead(patch):
    patch(intake.ReceiveWindow, "offer", _takes_everything)


def _takes_everything(window, seq, item, size):
    window._ahead[seq] = (item, size)
    return True


@broken("12", "R12.nesting", "R12.numbers", "R12.header_bound", "R12.window", long=True)
def offences_end_the_link(patch):
    refuse = ServerLinks.refuse

    def strict(self, error, number=None, seq=None):
        refuse(self, error, number, seq)
        self.close_client(ServiceError("continued_elsewhere"), retryable=False)

    patch(ServerLinks, "refuse", strict)

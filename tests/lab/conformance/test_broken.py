"""For each rule servers that break it on purpose: each fails the checks that are about it, and no other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest

from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import MalformedFrameError, ServiceError
from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.protocol import frames, intake, server_parts, server_voice
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol import server as protocol_server
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.protocol.server_parts import Controls, EventLog, Tokens
from rtstt_lab.protocol.timing import TokenBucket
from rtstt_lab.server import auth, link, routes, serving

from . import broken_calls
from .breaking import BROKEN, broken
from .conftest import IMPATIENT
from .house import HASTY, running

# --- rule 1: sequence ---------------------------------------------------------------------------------------


@broken("1", "R1.duplicate")
def duplicates_are_counted_as_audio(patch):
    take = Intake.take

    def again(self, header, payload, now, *, ended):
        before = self._duplicate
        problem = take(self, header, payload, now, ended=ended)
        self._accepted += self._duplicate - before
        self._duplicate = before
        return problem

    patch(Intake, "take", again)


@broken("1", "R1.gap_asked_for", "R1.checksum", "R1.length")
def nothing_is_asked_for_again(patch):
    patch(Intake, "missing", lambda self: ())


@broken("1", "R1.gap_becomes_hole")
def gaps_are_waited_for_for_ever(patch):
    patch(Intake, "gap_deadline", lambda self: None)


@broken("1", "R1.checksum", "R1.length", long=True)
def payloads_are_not_checked(patch):
    patch(intake, "check_payload", lambda *_: None)


@broken("1", "R1.hole_keeps_time")
def holes_take_no_time(patch):
    hole = SessionWorker.hole
    patch(SessionWorker, "hole", lambda self, lost: hole(self, type(lost)(lost.seq, 0)))


@broken("1", "R1.undecodable", long=True, recognition_s=15.0)
def bad_audio_is_passed_over_in_silence(patch):
    error = ServerSession.error

    def silent(self, problem, **how):
        if not problem.key.startswith("audio_"):
            error(self, problem, **how)

    patch(ServerSession, "error", silent)


@broken("1", "R1.given_up", "R1.hole_keeps_time", long=True)
def what_the_client_gave_up_counts_as_audio(patch):
    take = Intake.take

    def whole(self, header, payload, now, *, ended):
        return take(self, msgspec.structs.replace(header, lost=False), payload, now, ended=ended)

    patch(Intake, "take", whole)


# --- rule 2: committed --------------------------------------------------------------------------------------


@broken("2", "R2.mark_moves_in_silence", long=True, recognition_s=15.0)
def marks_stand_still(patch):
    patch(ServerSession, "commit", lambda self, *_: None)


@broken("2", "R2.mark_behind_words")
def audio_is_forgotten_at_once(patch):
    commit = ServerSession.commit
    patch(ServerSession, "commit", lambda self, *_: commit(self, self.next_seq, self.next_seq))


@broken("2", "R2.committed_words_stay", long=True)
def committed_words_change(patch):
    final = server_voice.final_message

    def shouted(result):
        message = final(result)
        loud = tuple(msgspec.structs.replace(word, text=word.text.upper()) for word in message.words)
        return msgspec.structs.replace(message, words=loud)

    patch(server_voice, "final_message", shouted)


@broken("2", "R2.marks_hold", long=True)
def marks_run_ahead(patch):
    commit = ServerSession.commit

    def ahead(self, committed_seq, resume_seq):
        commit(self, committed_seq, resume_seq)
        self.resume_seq = self.next_seq + 1

    patch(ServerSession, "commit", ahead)


@broken("2", "R2.text_comes", "R2.mark_behind_words", long=True)
def nothing_is_shown_before_the_end(patch):
    patch(ServerSession, "partial", lambda self, partial: None)


# --- rules 3 and 4: resume ----------------------------------------------------------------------------------


@broken("3", "R3.token_rotation", long=True)
def tokens_never_expire(patch):
    patch(Tokens, "check", lambda self, token: server_parts.token_hash(token))


@broken("3", "R3.missed_events", "R3.snapshot", "R3.finished_wins", "R3.late_outcome")
def missed_events_are_not_sent(patch):
    patch(EventLog, "after", lambda self, event: [])


@broken("3", "R3.takeover", long=True)
def two_clients_at_once(patch):
    close = ServerLinks.close_client

    def keep(self, error, *, retryable):
        if error.key != "continued_elsewhere":
            close(self, error, retryable=retryable)

    patch(ServerLinks, "close_client", keep)


@broken("3", "R3.controls_once")
def buttons_count_as_often_as_they_come(patch):
    add = Controls.add

    def afresh(self, control, now):
        number = max(control.n, self.applied + 1)
        add(self, msgspec.structs.replace(control, n=number), now)

    patch(Controls, "add", afresh)


@broken("R3.resume R3.controls_once", "R3.resume")
def a_resumption_is_told_as_any_status(patch):
    send = ServerLinks.send

    def plain(self, message):
        if isinstance(message, wire.Status) and message.resumed:
            message = msgspec.structs.replace(message, state=message.phase)
        send(self, message)

    patch(ServerLinks, "send", plain)


@broken("R4", "R4.kept")
def the_session_ends_with_its_link(patch):
    lost = SessionEngine.link_lost

    def over(self, number, now):
        lost(self, number, now)
        self.abort(now)

    patch(SessionEngine, "link_lost", over)


# --- rule 5: open means answered ----------------------------------------------------------------------------


@broken("5", "R5.wrong_token", "R5.hello_first", "R5.hello_late", "R5.other_protocol")
def links_are_closed_without_a_word(patch):
    turn_away = ServerLinks._turn_away

    def mute(self, number, error):
        said = len(self._out)
        turn_away(self, number, error)
        del self._out[said:]

    patch(ServerLinks, "_turn_away", mute)


@broken("5", "R5.unknown_session", "R5.foreign_page")
def refusals_are_close_codes_only(patch):
    async def mute(socket, error):
        await socket.close(link._close_code(error))

    patch(link, "refuse", mute)


@broken("5", "R5.foreign_page", long=True)
def pages_from_anywhere_may_talk(patch):
    patch(auth, "origin_allowed", lambda *_, **__: True)


@broken("5", "R5.no_greeting_twice", long=True)
def a_second_hello_ends_the_link(patch):
    receive = ServerSession._receive

    def once(self, message):
        if isinstance(message, wire.ClientHello):
            self._links.close_client(ServiceError("continued_elsewhere"), retryable=False)
        else:
            receive(self, message)

    patch(ServerSession, "_receive", once)


# --- rule 6: offences ---------------------------------------------------------------------------------------


@broken("6", "R6.first_offence", "R6.ten_bad_frames", "R6.too_large")
def the_first_offence_ends_the_link(patch):
    patch(server_voice, "ServerSettings", lambda: HASTY(bad_frames=1))


@broken("6", "R6.ten_bad_frames")
def offences_are_not_counted(patch):
    patch(server_voice, "ServerSettings", lambda: HASTY(bad_frames=10_000))


@broken("6", "R6.too_large")
def what_is_too_large_is_asked_for_again(patch):
    check = intake.check_payload

    def ordinary(header, payload, limit):
        if len(payload) > limit:
            raise MalformedFrameError("frame_length", seq=header.seq, bytes=1, announced=2)
        check(header, payload, limit)

    patch(intake, "check_payload", ordinary)


# --- rules 7 and 8: flow and limits -------------------------------------------------------------------------


@broken("7", "R7.credit")
def credit_never_shrinks(patch):
    patch(ServerSession, "credit_ms", property(lambda self: self.limits.credit_ms))


@broken("7", "R7.queue_full")
def a_full_queue_takes_everything(patch):
    def unlimited(self, header, payload, now):
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


@broken("9", "R9.settled", long=True, recognition_s=15.0)
def a_pause_settles_nothing(patch):
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


@pytest.mark.parametrize(("breaks", "rules", "failing", "recognition_s"), BROKEN)
async def test_a_broken_server_fails(breaks, rules, failing, recognition_s, examined, monkeypatch):
    """What it breaks is found, and nothing else of the same rule."""
    breaks(monkeypatch.setattr)
    outcomes = await examined(*rules, patience=replace(IMPATIENT, recognition_s=recognition_s))
    failed = {check: outcome for check, outcome in outcomes.items() if outcome.verdict == "failed"}
    assert set(failed) == failing, [(o.check.id, o.expected, o.got.say("en")) for o in failed.values()]


def test_every_rule_is_broken():
    """No rule whose checks were never seen to fail, and that not in `make test` already."""
    often = [param for param in BROKEN if not param.marks]
    failing = {check.partition(".")[0] for param in often for check in param.values[2]}
    assert failing == {check.rule for check in CHECKS}
    assert len(often) >= 24


def test_every_check_was_seen_to_fail():
    """Besides the one that waits for minutes."""
    failing = {check for param in BROKEN for check in param.values[2]} | broken_calls.FAILING_ELSEWHERE
    assert {check.id for check in CHECKS} - failing == {"R4.suspended"}


@pytest.mark.long
async def test_a_server_without_bounds_fails(tmp_path, examined, monkeypatch):
    """Compression is agreed to, frames and bodies may be as long as they like."""
    config = serving._config

    def roomy(settings, registry):
        made = config(settings, registry)
        made.ws_per_message_deflate = True
        return made

    monkeypatch.setattr(serving, "_config", roomy)
    heard = ServerLinks.heard
    monkeypatch.setattr(ServerLinks, "heard", lambda self, number, size: heard(self, number, 0))
    monkeypatch.setattr(routes, "_parse", lambda body, kind: kind())
    with running(tmp_path, max_frame_bytes=50_000_000, max_body_bytes=50_000_000) as url:
        outcomes = await examined(*broken_calls.FAILING_ELSEWHERE, url=url, patience=IMPATIENT)
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "failed")

"""Servers that break the rules of audio and text: 1 (sequence) and 2 (committed)."""

from __future__ import annotations

import msgspec

from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.protocol import intake, server_voice
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.server import ServerSession

from .breaking import broken

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

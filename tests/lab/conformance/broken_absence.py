"""Servers that are broken on purpose where a client stays away, or its audio does (rules 4 and 9)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from rtstt_lab.engine.journal import SessionState
from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.server.past import SuspendedSessions
from rtstt_lab.server.registry import SessionRegistry

ABSENCE = []


def absent(rules, *failing, long=False, suspended_s=20.0):
    """Declares one: the checks it is examined by, those that must fail, the wait for a suspension."""

    def declared(breaks):
        marks = [pytest.mark.long] if long else []
        ABSENCE.append(
            pytest.param(breaks, rules.split(), set(failing), suspended_s, id=breaks.__name__, marks=marks)
        )
        return breaks

    return declared


@absent("R4.suspended", "R4.suspended", suspended_s=1.0)
def nothing_is_ever_suspended(patch):
    patch(SessionEngine, "_give_up_waiting", lambda self: None)


@absent("R4.suspended", "R4.suspended", long=True, suspended_s=1.0)
def sessions_are_released_instead(patch):
    patch(SessionEngine, "_give_up_waiting", lambda self: self._release())


@absent("R4.suspended", "R4.suspended")
def suspended_sessions_are_forgotten(patch):
    patch(SuspendedSessions, "add", lambda self, host: None)


@absent("R4.suspended", "R4.suspended", long=True)
def what_was_not_committed_counts_as_heard(patch):
    def ahead(state):
        return msgspec.structs.replace(state.intake, next_seq=state.intake.next_seq + 4)

    _taken_up(patch, intake=ahead)


@absent("R4.suspended", "R4.suspended", long=True)
def events_are_forgotten(patch):
    _taken_up(patch, frames=lambda state: ())


@absent("R4.suspended", "R4.suspended", long=True)
def the_text_is_nowhere_while_it_is_suspended(patch):
    transcript = SessionRegistry.transcript

    async def empty(self, session_id, token, kind):
        return await transcript(self, session_id, token, kind) if self.host(session_id) else ""

    patch(SessionRegistry, "transcript", empty)


@absent("R4.webm_header R4.ogg_header R4.blocks", "R4.webm_header", "R4.ogg_header", "R4.blocks")
def headers_are_forgotten(patch):
    _taken_up(patch, header_seq=lambda state: None)


@absent("R4.webm_header", "R4.webm_header", long=True)
def headers_are_asked_for_and_not_read(patch):
    def deaf(self, header, payload, now):
        self._duplicate += 1

    patch(Intake, "_take_again", deaf)


@absent("R4.ogg_header", "R4.ogg_header", long=True)
def a_header_counts_as_a_chunk(patch):
    again = Intake._take_again

    def counted(self, header, payload, now):
        self._accepted += 1
        return again(self, header, payload, now)

    patch(Intake, "_take_again", counted)


@absent("R4.ogg_header", "R4.ogg_header", long=True)
def time_jumps_while_nobody_is_there(patch):
    start = SessionState.recognizer.fget

    def later(self):
        told = start(self)
        return replace(told, at_s=told.at_s + 2, settled_s=told.settled_s + 2)

    patch(SessionState, "recognizer", property(later))


@absent("R4.blocks", "R4.blocks", long=True)
def receipts_ask_for_no_header(patch):
    receive = ServerSession.receive_block

    def receipt(self, *arguments, **options):
        return msgspec.structs.replace(receive(self, *arguments, **options), header_seq=None)

    patch(ServerSession, "receive_block", receipt)


@absent("R9.audio_never_comes", "R9.audio_never_comes", long=True)
def buttons_wait_for_their_audio_for_ever(patch):
    patch(ServerSession, "_control_deadline", lambda self: None)


def _taken_up(patch, **changes):
    """What the new end of a conversation goes on from is changed."""
    protocol = SessionState.protocol.fget

    def changed(self):
        state = protocol(self)
        return replace(state, **{name: change(state) for name, change in changes.items()})

    patch(SessionState, "protocol", property(changed))

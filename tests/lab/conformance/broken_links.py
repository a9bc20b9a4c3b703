"""Servers that break the rules of links: 3 and 4 (resume), 5 (open means answered), 6 (offences)."""

from __future__ import annotations

import msgspec

from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.errors import MalformedFrameError, ServiceError
from rtstt_lab.protocol import intake, server_parts, server_voice
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.protocol.server_parts import Controls, EventLog, Tokens
from rtstt_lab.server import auth, link

from .breaking import broken
from .house import HASTY

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

"""Servers that break what is said beside the twelve rules: pages, figures, clients that follow each other."""

from __future__ import annotations

import msgspec

from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.intake import Intake
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.protocol.server_parts import Tokens
from rtstt_lab.protocol.timing import Counter, TokenBucket
from rtstt_lab.server.past import Tombstones
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.types import AudioFormat

from .breaking import broken


@broken("REST.list REST.paged", "REST.paged")
def the_list_has_one_page(patch):
    class Whole(list):
        def __getitem__(self, place):
            return list(self)

    visible = SessionRegistry.visible
    patch(SessionRegistry, "visible", lambda self, token: Whole(visible(self, token)))


@broken("REST.state REST.finished", "REST.finished")
def what_is_over_is_forgotten(patch):
    patch(Tombstones, "get", lambda self, session_id: None)


@broken("F.greeting F.api_token", "F.api_token")
def only_session_tokens_open_sockets(patch):
    patch(Tokens, "_known", lambda self: iter(self.hashes))


@broken("F.ping F.metrics", "F.metrics", long=True)
def no_figures_are_told(patch):
    patch(ServerSession, "metrics", lambda self, metrics: metrics)


@broken("F.base64 F.ledger", "F.ledger")
def rejections_are_not_counted(patch):
    received = Intake.received.fget
    kind = property(lambda self: msgspec.structs.replace(received(self), rejected=0))
    patch(Intake, "received", kind)


@broken("R1.duplicate R1.unknown_format", "R1.unknown_format", long=True)
def every_format_is_taken_for_pcm(patch):
    patch(Intake, "_format_of", lambda self, header: AudioFormat.from_mime("audio/pcm;rate=16000"))


@broken("R3.takeover R3.late_hello", "R3.late_hello", long=True)
def whoever_comes_last_takes_over(patch):
    admit = ServerLinks.admit

    def newest(self, message, link):
        if isinstance(message, wire.ClientHello):
            message = msgspec.structs.replace(message, attempt=2**20)
        return admit(self, message, link)

    patch(ServerLinks, "admit", newest)


@broken("R3.snapshot R3.owed_chunks R10.new_client R10.poll", "R3.owed_chunks", "R10.new_client")
def what_others_owed_is_waited_for(patch):
    patch(ServerSession, "_forget_other_client", lambda self: None)


@broken("R8.reconnections R8.burst_after_reconnect", "R8.reconnections", long=True)
def anybody_may_reconnect_for_ever(patch):
    patch(Counter, "full", lambda self, now: False)


@broken("R12.buttons R12.nesting", "R12.buttons")
def buttons_come_at_any_rate(patch):
    patch(TokenBucket, "take", lambda *_: True)


@broken("R2.text_comes R2.marks_hold", "R2.text_comes", long=True)
def every_view_is_told_twice(patch):
    partial = ServerSession.partial

    def twice(self, view):
        partial(self, view)
        partial(self, view)

    patch(ServerSession, "partial", twice)

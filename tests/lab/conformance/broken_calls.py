"""Servers whose REST calls and frames are broken on purpose."""

from __future__ import annotations

import msgspec

from rtstt_lab.errors import LimitError, MalformedFrameError, RtsttError
from rtstt_lab.protocol import frames
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.protocol.server_parts import Tokens
from rtstt_lab.server import app, auth, link, registry, routes
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.telemetry import Telemetry

from .breaking import broken

FAILING_ELSEWHERE = {"R12.frame_bound", "R12.body_bound", "R12.no_compression"}
"""What only a server shows that was started so."""


@broken("REST", "REST.no_token", "REST.own_session_only", "REST.list", "REST.fresh_token")
def any_token_opens_everything(patch):
    patch(auth, "matches", lambda token, *hashes: token is not None)


@broken("REST", "REST.delete", "REST.finished")
def a_second_delete_is_a_mistake(patch):
    async def delete(self, session_id, token, *, file):
        found = self.authorise(session_id, token)
        found.engine.abort(self._clock())
        found.drain()

    patch(SessionRegistry, "delete", delete)


@broken("F", "F.ping", "F.unknown_type", long=True)
def pings_are_not_answered(patch):
    receive = ServerSession._receive

    def deaf(self, message):
        if not isinstance(message, wire.ClientPing):
            receive(self, message)

    patch(ServerSession, "_receive", deaf)


@broken("F.base64 F.ping F.greeting", "F.base64")
def base64_is_not_read(patch):
    receive = ServerSession._receive

    def binary_only(self, message):
        if isinstance(message, wire.AudioText):
            raise MalformedFrameError("frame_malformed", reason="no text")
        receive(self, message)

    patch(ServerSession, "_receive", binary_only)


@broken("F", "F.finish", long=True)
def the_summary_counts_wrong(patch):
    completed = ServerSession.completed

    def wrong(self, summary):
        return completed(self, msgspec.structs.replace(summary, duration_s=summary.duration_s + 1))

    patch(ServerSession, "completed", wrong)


@broken("F", "F.silent_client", "F.server_pings", long=True)
def nobody_is_let_go_of(patch):
    patch(ServerLinks, "due", lambda self: None)


@broken("REST.create REST.health REST.state", "REST.create")
def another_protocol_is_named(patch):
    create = SessionRegistry.create

    async def misnamed(self, *arguments, **options):
        return msgspec.structs.replace(await create(self, *arguments, **options), protocol="rtstt.v0")

    patch(SessionRegistry, "create", misnamed)


@broken("REST.create REST.bad_body", "REST.bad_body")
def any_body_makes_a_session(patch):
    patch(routes, "_parse", lambda body, kind: kind())


@broken("REST.state REST.list REST.unknown", "REST.state", "REST.list")
def sessions_are_not_described(patch):
    patch(routes, "_described", lambda session: {})


@broken("REST.create REST.unknown", "REST.unknown")
def what_is_unknown_is_a_failure(patch):
    patch(app, "_STATUS", ())


@broken("REST.state REST.transcript", "REST.transcript")
def subtitles_cannot_be_made(patch):
    transcript = SessionRegistry.transcript

    async def some(self, session_id, token, kind):
        if kind == "vtt":
            raise RtsttError("internal")
        return await transcript(self, session_id, token, kind)

    patch(SessionRegistry, "transcript", some)


@broken("REST.health REST.figures", "REST.health")
def nobody_says_that_it_lives(patch):
    async def ill():
        raise ValueError

    patch(app._health, "__code__", ill.__code__)


@broken("REST.health REST.figures", "REST.figures")
def figures_are_none(patch):
    patch(Telemetry, "text", lambda self: b"{}")


@broken("REST.health REST.full", "REST.full", long=True)
def a_full_server_does_not_say_when(patch):
    def full(*, running, limit, **_):
        if running >= limit:
            raise LimitError("sessions_full", limit=limit)

    patch(registry, "admit_session", full)


@broken("F.greeting F.ping", "F.greeting", long=True)
def no_next_token_is_given(patch):
    patch(Tokens, "issue", lambda self: "")


@broken("F.subprotocol F.ping", "F.subprotocol")
def no_subprotocol_is_chosen(patch):
    async def accept(socket):
        await socket.accept()

    patch(link, "accept", accept)


@broken("F.unknown_field F.ping", "F.unknown_field", long=True)
def unknown_fields_are_offences(patch):
    decode = frames._decode

    def strict(decoder, frame):
        if "mood" in str(frame):
            raise MalformedFrameError("frame_malformed", reason="mood")
        return decode(decoder, frame)

    patch(frames, "_decode", strict)


@broken("F.illegal_control F.unknown_type", "F.illegal_control", long=True)
def what_a_phase_forbids_is_not_told(patch):
    patch(ServerSession, "_refuse_control", lambda self, control: None)


@broken("F.viewer F.ping", "F.viewer", long=True)
def viewers_are_told_everything(patch):
    watch = SessionHost.watch
    patch(SessionHost, "watch", lambda self, outbox, after, **options: watch(self, outbox, 0, **options))


@broken("F.unknown_field F.readable", "F.readable")
def the_server_gossips(patch):
    send = ServerLinks.send

    def chatty(self, message):
        send(self, message)
        self.send_frame('{"type": "server:gossip"}')

    patch(ServerLinks, "send", chatty)

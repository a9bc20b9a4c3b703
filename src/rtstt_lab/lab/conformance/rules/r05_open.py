"""Rule 5: open means answered. Nobody is closed without having been told why."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from rtstt_lab.client.probe import HandshakeRefused
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import Session, Subject
from rtstt_lab.lab.conformance.talk import Talk
from rtstt_lab.protocol import messages as wire


@check("R5.wrong_token")
async def wrong_token(subject: Subject) -> None:
    """A wrong token: accepted, told, closed with 4401."""
    async with subject.session() as session:
        talk = await _opened(session)
        await talk.send(type="client:hello", token="x" * 43)
        error = await talk.refused(4401)
        talk.expect(error, retryable=False)


@check("R5.hello_first")
async def hello_first(subject: Subject) -> None:
    """Another first message than hello: told, closed with 4401; the session is not touched."""
    async with subject.session() as session:
        talk = await _opened(session)
        await talk.send(type="client:control", action="start", n=1, at_seq=0)
        await talk.refused(4401, 4400)
        talk = await _opened(session)
        await talk.chunk(0)
        await talk.refused(4401, 4400)
        _, created = await session.connect()
        if (created.sync.phase, created.sync.next_seq) != ("idle", 0):
            raise talk.unmet("sync={phase: idle, next_seq: 0}", created)


@check("R5.hello_late")
async def hello_late(subject: Subject) -> None:
    """Whoever says nothing for five seconds is told so, and closed."""
    async with subject.session() as session:
        talk = await _opened(session)
        await talk.until(wire.ServerError, within_s=subject.patience.hello_s, fatal=True)
        await talk.ends(4400, 4401, 4408)


@check("R5.unknown_session")
async def unknown_session(subject: Subject) -> None:
    """A session that nobody knows: accepted, told, closed with 4404."""
    async with subject.session() as session:
        path = session.created.ws_path.replace(session.id, str(uuid4()))
        try:
            socket = await subject.probe.open(path)
        except HandshakeRefused as refused:
            raise _not_accepted(refused) from refused
        talk = session.adopt(socket)
        await socket.send('{"type": "client:hello", "token": "x"}')
        await talk.refused(4404)


@check("R5.foreign_page")
async def foreign_page(subject: Subject) -> None:
    """A page from elsewhere is told so and closed with 4403, whatever it knows."""
    async with subject.session() as session:
        try:
            talk = await session.open(headers={"Origin": "https://elsewhere.example"})
        except HandshakeRefused as refused:
            if refused.status == 403:
                raise NotJudged(phrase("refused_on_the_way", status=403)) from refused
            raise _not_accepted(refused) from refused
        await talk.socket.send(f'{{"type": "client:hello", "token": "{session.token}"}}')
        await talk.refused(4403)


@check("R5.no_greeting_twice")
async def no_greeting_twice(subject: Subject) -> None:
    """A second hello on an open link is an error that is not fatal."""
    async with subject.session() as session:
        talk, created = await session.connect()
        talk.turn()
        await talk.send(type="client:hello", token=created.sync.token)
        await talk.until(wire.ServerError, fatal=False)
        await talk.alive()


@check("R5.other_protocol")
async def other_protocol(subject: Subject) -> None:
    """A client of another protocol is told so, and closed."""
    async with subject.session() as session:
        talk = await _opened(session)
        await talk.send(type="client:hello", token=session.token, protocol="rtstt.v0")
        await talk.refused(4400)


async def _opened(session: Session) -> Talk:
    try:
        return await session.open()
    except HandshakeRefused as refused:
        raise _not_accepted(refused) from refused


def _not_accepted(refused: HandshakeRefused) -> Unmet:
    return Unmet("101, server:error, close", phrase("got_status", status=refused.status or "–", body=""))


CHECKS: Final = (
    wrong_token,
    hello_first,
    hello_late,
    unknown_session,
    foreign_page,
    no_greeting_twice,
    other_protocol,
)

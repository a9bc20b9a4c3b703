"""The REST table: sessions are made, looked at, fetched and deleted over HTTP."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID, uuid4

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import SESSIONS, Subject, expect_status, unmet_answer
from rtstt_lab.protocol import messages as wire

_MOST_SESSIONS: Final = 40
_FORMATS: Final = ("txt", "json", "srt", "vtt", "csv")


@check("REST.create")
async def create(subject: Subject) -> None:
    """A session is made, and told how to reach."""
    async with subject.session() as session:
        made = session.created
        try:
            UUID(made.session_id)
        except ValueError:
            raise Unmet("session_id=UUID", phrase("got", text=f"session_id={made.session_id!r}")) from None
        if not made.session_token or made.protocol != wire.PROTOCOL or not made.ws_path.startswith("/"):
            expected = f"session_token, protocol={wire.PROTOCOL}, ws_path=/…"
            raise Unmet(expected, phrase("got", text=f"protocol={made.protocol} ws_path={made.ws_path}"))


@check("REST.bad_body")
async def bad_body(subject: Subject) -> None:
    """What is no body makes no session."""
    for body in (b"{", b"[]", b'{"model": 7}', b"\xff\xfe"):
        answer = await subject.request("POST", SESSIONS, token=subject.token, content=body)
        if answer.status == 201:
            await subject.discard(answer.json()["session_id"], answer.json().get("session_token"))
        expect_status(answer, f"POST {body!r}", 422)


@check("REST.no_token")
async def no_token(subject: Subject) -> None:
    """Without a token, or with a wrong one, nothing is told."""
    subject.require_token()
    async with subject.session() as session:
        where = f"{SESSIONS}/{session.id}"
        calls = (
            ("POST", SESSIONS),
            ("GET", SESSIONS),
            ("GET", where),
            ("GET", f"{where}/transcript"),
            ("POST", f"{where}/token"),
            ("DELETE", where),
        )
        for method, path in calls:
            for wrong in (None, "x" * 43):
                expect_status(await subject.request(method, path, token=wrong), f"{method} {path}", 401)
        expect_status(await session.request("GET"), "GET", 200)


@check("REST.own_session_only", sessions=2)
async def own_session_only(subject: Subject) -> None:
    """A session's token opens that session and no other, and makes none."""
    async with subject.session() as mine, subject.session() as other:
        for method, path in (("GET", ""), ("GET", "/transcript"), ("DELETE", "")):
            answer = await other.request(method, path, token=mine.token)
            expect_status(answer, f"{method} {path}", 401, 403, 404)
        expect_status(await other.request("GET"), "GET", 200)
        if subject.token:
            answer = await subject.request("POST", SESSIONS, token=mine.token, content=b"{}")
            if answer.status == 201:
                await subject.discard(answer.json()["session_id"], answer.json().get("session_token"))
            expect_status(answer, "POST", 401, 403)


@check("REST.state")
async def state(subject: Subject) -> None:
    """A session's state and statistics can be asked for at any time."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.chunk(0)
        await talk.until(wire.ServerAck, seq=0)
        answer = await session.request("GET")
        expect_status(answer, "GET", 200)
        told = answer.json()
        if (
            not isinstance(told, dict)
            or told.get("session_id") != session.id
            or "recording" not in told.values()
        ):
            raise unmet_answer("{session_id, phase=recording, …}", answer)


@check("REST.list", sessions=2)
async def listed(subject: Subject) -> None:
    """The list holds all sessions for the API token, its own for a session's."""
    async with subject.session() as session, subject.session() as other:
        if subject.token:
            everything = await subject.request("GET", SESSIONS, token=subject.token)
            expect_status(everything, "GET", 200)
            if session.id.encode() not in everything.body:
                raise unmet_answer(f"… {session.id} …", everything)
        own = await subject.request("GET", SESSIONS, token=session.token)
        expect_status(own, "GET", 200)
        if session.id.encode() not in own.body or other.id.encode() in own.body:
            raise unmet_answer(f"only {session.id}", own)


@check("REST.unknown")
async def unknown(subject: Subject) -> None:
    """What nobody knows is 404, and so is what is no id."""
    for name in (str(uuid4()), "no-uuid"):
        for method, path in (("GET", ""), ("GET", "/transcript"), ("POST", "/token")):
            answer = await subject.request(method, f"{SESSIONS}/{name}{path}", token=subject.token)
            expect_status(answer, f"{method} {name}{path}", 404)


@check("REST.fresh_token")
async def fresh_token(subject: Subject) -> None:
    """Only the API token gets a fresh session token, and that one opens the session."""
    api = subject.require_token()
    async with subject.session() as session:
        expect_status(await session.request("POST", "/token"), "POST /token", 401, 403)
        answer = await session.request("POST", "/token", token=api)
        expect_status(answer, "POST /token", 200, 201)
        fresh = (answer.json() or {}).get("session_token")
        if not isinstance(fresh, str):
            raise unmet_answer("{session_token}", answer)
        talk = await session.open()
        await talk.send(type="client:hello", token=fresh)
        await talk.until(wire.SessionCreated)


@check("REST.delete")
async def delete(subject: Subject) -> None:
    """A deleted session is gone; its client is told why; deleting again changes nothing."""
    async with subject.session() as session:
        talk = await session.recording()
        token = subject.token or session.token
        expect_status(await session.request("DELETE", token=token), "DELETE", 204)
        await talk.refused(4404)
        if subject.token:
            expect_status(await session.request("DELETE", token=token), "DELETE (again)", 204)
            expect_status(await session.request("GET", token=token), "GET", 404)


@check("REST.transcript")
async def transcript(subject: Subject) -> None:
    """The transcript can be fetched at any time, in every format; another format is a mistake."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([bytes(8_000)] * 2)
        for kind in _FORMATS:
            answer = await session.request("GET", "/transcript", query={"format": kind})
            expect_status(answer, f"GET /transcript?format={kind}", 200)
            if kind == "json":
                try:
                    json.loads(answer.body)
                except ValueError:
                    raise unmet_answer("JSON", answer) from None
        wrong = await session.request("GET", "/transcript", query={"format": "docx"})
        expect_status(wrong, "GET /transcript?format=docx", 422, 400)


@check("REST.health")
async def health(subject: Subject) -> None:
    """Anybody may ask whether it lives."""
    expect_status(await subject.request("GET", "/healthz"), "GET /healthz", 200)


@check("REST.figures")
async def figures(subject: Subject) -> None:
    """The server's figures are in Prometheus' text format."""
    answer = await subject.request("GET", "/metrics", token=subject.token)
    expect_status(answer, "GET /metrics", 200)
    if b"# TYPE" not in answer.body:
        raise unmet_answer("# TYPE …", answer)


@check("REST.full", when="alone")
async def full(subject: Subject) -> None:
    """Over a limit it is 429 with Retry-After, and room again once a session is deleted."""
    made: list[tuple[str, str]] = []
    try:
        while len(made) < _MOST_SESSIONS:
            answer = await subject.create(patient=False)
            if answer.status != 201:
                break
            body = answer.json()
            made.append((body["session_id"], body["session_token"]))
        else:
            raise NotJudged(phrase("never_full", sessions=_MOST_SESSIONS))
        expect_status(answer, f"POST ({len(made) + 1})", 429, 503)
        if "retry-after" not in answer.headers:
            raise unmet_answer("Retry-After", answer)
    finally:
        for session_id, token in made:
            await subject.discard(session_id, token)


@check("REST.paged", sessions=2)
async def paged(subject: Subject) -> None:
    """The list comes in pages."""
    api = subject.require_token()
    async with subject.session(), subject.session():
        lengths = []
        for limit in ("500", "1"):
            answer = await subject.request("GET", SESSIONS, token=api, query={"limit": limit})
            expect_status(answer, f"GET ?limit={limit}", 200)
            lengths.append(len(answer.json()["sessions"]))
        if lengths[0] < 2 or lengths[1] != 1:
            raise Unmet(
                "?limit=1: 1", phrase("got", text=f"?limit=500: {lengths[0]}, ?limit=1: {lengths[1]}")
            )


@check("REST.finished")
async def finished(subject: Subject) -> None:
    """A finished session is still known, its text can be fetched, and DELETE makes it forgotten."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.control("stop", await talk.say([audio.tone()] * 2))
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        await talk.send(type="client:ack", event=completed.event)
        await talk.ends(1000)
        answer = await session.request("GET")
        expect_status(answer, "GET", 200)
        if "completed" not in (answer.json() or {}).values():
            raise unmet_answer("{phase: completed, …}", answer)
        expect_status(await session.request("GET", "/transcript"), "GET /transcript", 200)
        token = subject.token or session.token
        gone = await session.request("DELETE", query={"file": "true"}, token=token)
        expect_status(gone, "DELETE ?file=true", 204)
        expect_status(await session.request("GET", token=token), "GET", 404, 401)


CHECKS: Final = (
    create,
    bad_body,
    no_token,
    own_session_only,
    state,
    listed,
    paged,
    finished,
    unknown,
    fresh_token,
    delete,
    transcript,
    health,
    figures,
    full,
)

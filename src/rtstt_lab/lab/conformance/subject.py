"""The server that is examined: its sessions, each deleted when its check is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from rtstt_lab.client.probe import Answer, Probe, ProbeSocket
from rtstt_lab.errors import ConnectionFailedError
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, phrase
from rtstt_lab.lab.conformance.talk import Patience, Talk
from rtstt_lab.protocol import messages as wire

SESSIONS: Final = "/api/streaming/sessions"
_PATIENT_S: Final = 90.0
"""A server that takes no session now is asked again for so long."""


@dataclass
class Session:
    """One session.

    Attributes:
        subject: whose it is.
        created: as the server answered.
        controls: the buttons' numbers used so far.
        talks: its sockets.
    """

    subject: Subject
    created: wire.CreatedSession
    controls: list[int] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Of the session."""
        return self.created.session_id

    @property
    def token(self) -> str:
        """The one that it was created with."""
        return self.created.session_token

    async def request(self, method: str, path: str = "", **options: Any) -> Answer:
        """A request about it; with its own token if no other is given."""
        options.setdefault("token", self.token)
        return await self.subject.request(method, f"{SESSIONS}/{self.id}{path}", **options)

    async def open(self, *, answers_pings: bool = True, **options: Any) -> Talk:
        """A socket, without a hello."""
        options.setdefault("reply", _pong if answers_pings else None)
        return self.adopt(await self.subject.probe.open(self.created.ws_path, **options))

    def adopt(self, socket: ProbeSocket) -> Talk:
        """Takes a socket among the session's."""
        talk = Talk(socket, self.subject.patience, session_id=self.id, controls=self.controls)
        self.talks.append(talk)
        self.subject.talks.append(talk)
        return talk

    async def connect(self, **options: Any) -> tuple[Talk, wire.SessionCreated]:
        """A socket, greeted for the first time."""
        talk = await self.open(**options)
        await talk.send(type="client:hello", token=self.token)
        return talk, await talk.until(wire.SessionCreated)

    async def recording(self, **options: Any) -> Talk:
        """A socket, greeted, and recording."""
        talk, _ = await self.connect(**options)
        await talk.start()
        return talk

    async def resume(self, token: str, **hello: Any) -> tuple[Talk, wire.Sync]:
        """Another socket of the same client.

        Raises:
            Unmet: the greeting is not a resumed status that says where the server stands.
        """
        talk = await self.open()
        await talk.send(type="client:hello", token=token, resuming=True, attempt=len(self.talks) - 1, **hello)
        status = await talk.until(wire.Status, resumed=True)
        if status.sync is None:
            raise talk.unmet("server:status resumed=true sync={…}", status)
        return talk, status.sync


class Subject:
    """What is examined, and with how much patience.

    Args:
        probe: reaches it.
        token: of its API; ``None`` where it asks for none.
        speech: the shipped sample, as 16-bit PCM at 16 kHz.
        patience: see there.

    Attributes:
        talks: every conversation so far, for what is judged over all of them.
    """

    def __init__(self, probe: Probe, token: str | None, speech: bytes, patience: Patience) -> None:
        self.probe = probe
        self.token = token
        self.speech = speech
        self.patience = patience
        self.talks: list[Talk] = []

    async def request(self, method: str, path: str, *, patient: bool = True, **options: Any) -> Answer:
        """A request; a server that wants to be asked again later is, if need be for a minute and a half.

        Raises:
            Unmet: the server does not answer.
        """
        deadline_s = self.probe.clock() + _PATIENT_S
        while True:
            try:
                answer = await self.probe.request(method, path, **options)
            except ConnectionFailedError as error:
                raise Unmet(f"{method} {path}", phrase("got", text=error)) from error
            wait_s = _seconds(answer.headers.get("retry-after"))
            if not patient or answer.status not in {429, 503} or wait_s is None:
                return answer
            if self.probe.clock() + wait_s > deadline_s:
                raise NotJudged(phrase("full", status=answer.status))
            await asyncio.sleep(wait_s)

    async def create(self, body: Mapping[str, object] | None = None, *, patient: bool = True) -> Answer:
        """Asks for a session."""
        content = json.dumps(body or {}).encode()
        headers = {"Content-Type": "application/json"}
        return await self.request(
            "POST", SESSIONS, token=self.token, content=content, headers=headers, patient=patient
        )

    @asynccontextmanager
    async def session(self, **body: object) -> AsyncIterator[Session]:
        """A session of one check's own, deleted afterwards.

        Raises:
            NotJudged: the server takes none now.
            Unmet: what it answers is none.
        """
        session = Session(self, await self._created(body))
        try:
            yield session
        finally:
            for talk in session.talks:
                await talk.socket.drop()
            await self.discard(session.id, session.token)

    async def discard(self, session_id: str, token: str | None) -> None:
        """Deletes a session; one that is gone already does no harm."""
        with suppress(ConnectionFailedError):
            await self.probe.request("DELETE", f"{SESSIONS}/{session_id}", token=self.token or token)

    def require_token(self) -> str:
        """The API's.

        Raises:
            NotJudged: there is none.
        """
        if not self.token:
            raise NotJudged(phrase("no_token"))
        return self.token

    async def _created(self, body: Mapping[str, object]) -> wire.CreatedSession:
        answer = await self.create(body)
        expect_status(answer, "POST", 201)
        try:
            return msgspec.json.decode(answer.body, type=wire.CreatedSession)
        except msgspec.DecodeError as error:
            raise unmet_answer(
                "POST 201 {session_id, ws_path, session_token, limits, protocol}", answer
            ) from (error)


def unmet_answer(expected: str, answer: Answer) -> Unmet:
    """What a request should have been answered, and what it was."""
    body = answer.body[:160].decode("utf-8", "replace")
    return Unmet(expected, phrase("got_status", status=answer.status, body=body))


def expect_status(answer: Answer, what: str, *statuses: int) -> None:
    """Holds an answer against its status.

    Raises:
        Unmet: it is another one.
    """
    if answer.status not in statuses:
        raise unmet_answer(f"{what}: {'/'.join(map(str, statuses))}", answer)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.5, float(retry_after))
    except ValueError:
        return None


def _pong(frame: str | bytes) -> str | None:
    """Answers the server's pings at once, whatever the check is waiting for."""
    if isinstance(frame, bytes) or '"server:ping"' not in frame:
        return None
    try:
        message = wire.decode_server_message(frame)
    except Exception:  # noqa: BLE001 - what cannot be read is judged elsewhere
        return None
    if isinstance(message, wire.ServerPing):
        return wire.encode(wire.ClientPong(message.sent_ms))
    return None

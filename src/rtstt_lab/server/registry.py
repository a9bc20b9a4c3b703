"""All sessions of one server: made here, found here, and purged from here when they end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Final as Constant
from typing import TypeAlias
from uuid import UUID

from rtstt_lab.errors import AuthenticationError, SessionNotFoundError
from rtstt_lab.protocol.lifecycle import TERMINAL, Phase
from rtstt_lab.protocol.messages import CreatedSession, CreateSession
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.recognition.models import ModelStore, Progress
from rtstt_lab.recognition.whisper import DecoderOptions
from rtstt_lab.server import auth
from rtstt_lab.server.executor import Executor
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.journal import JournalFolder
from rtstt_lab.server.limits import admit_session
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.opening import Ends, SessionOpener
from rtstt_lab.server.past import Suspended, SuspendedSessions, Tombstone, Tombstones, transcript_of
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.server.telemetry import Telemetry
from rtstt_lab.server.transcripts import Transcripts
from rtstt_lab.server.upkeep import Upkeep
from rtstt_lab.texts import preferred_language
from rtstt_lab.transcript import TranscriptHeader

WS_PATH: Constant = "/api/streaming/sessions/{session_id}/ws"
Known: TypeAlias = SessionHost | Suspended | Tombstone

log = logging.getLogger(__name__)


class SessionRegistry:
    """The sessions, and what they share: models, threads, the folder of transcripts, the watch on the host.

    Args:
        settings: of the server.
        wall: Unix time.

    Attributes:
        telemetry: the figures for Prometheus.
        executor: does all sessions' work.
        saved_at_end: files of the sessions that were open when the server ended.
    """

    def __init__(self, settings: ServerSettings, *, wall: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.saved_at_end: list[str] = []
        options = DecoderOptions(
            device=settings.device,
            compute_type=settings.compute_type,
            threads=settings.threads,
            workers=max(1, min(settings.max_sessions, (os.cpu_count() or 1) // settings.threads)),
        )
        self._clock = time.monotonic
        self._api_token_hash = token_hash(settings.api_token)
        self._transcripts = Transcripts(settings.output, preferred_language(os.environ))
        self._models = ModelPool(ModelStore(), options, self._clock)
        self.executor = Executor(options.workers)
        self._journals = JournalFolder(settings.journal_folder)
        self._opener = SessionOpener(
            settings,
            models=self._models,
            executor=self.executor,
            journals=self._journals,
            ends=Ends(self._transcripts.save, self._bury, self._suspend),
            clock=self._clock,
        )
        self._hosts: dict[str, SessionHost] = {}
        self._coming = 0
        self._reopening: dict[str, asyncio.Task[SessionHost]] = {}
        self._tombstones = Tombstones(self._clock)
        self._suspended = SuspendedSessions(
            self._journals, self._transcripts.save, clock=self._clock, wall=wall
        )
        self._upkeep = Upkeep(
            self._hosts,
            models=self._models,
            tombstones=self._tombstones,
            suspended=self._suspended,
            telemetry=self.telemetry,
            idle_model_s=settings.idle_model_s,
            clock=self._clock,
        )
        self._ending = False

    # --- the server's life ---------------------------------------------------------------------------------

    async def start(self, progress: Progress | None = None) -> None:
        """Loads and warms the server's own model, which stays; looks for sessions of an earlier server.

        Raises:
            ModelError: it can't be had or loaded.
            LanguageError: it doesn't know the server's language.
            StorageError: the folder of the journals can't be used.
        """
        await self._models.borrow(self.settings.model, self.settings.language, progress=progress)
        await asyncio.to_thread(self._journals.check)
        await self._suspended.refresh()
        self._upkeep.start()

    async def settle(self) -> None:
        """Takes nothing new, and recognises and saves what every session has been sent.

        Sessions whose clients have yet to bring again what an earlier server had received are left to the
        next one.
        """
        self._ending = True
        hosts = [host for host in self._hosts.values() if not host.session.awaits_again]
        for host in hosts:
            host.engine.finish(self._clock())
            host.drain()
        await asyncio.gather(*(host.settled.wait() for host in hosts))
        self.saved_at_end += [file for host in hosts if (file := host.engine.status().file)]

    async def close(self) -> None:
        """Saves what is final of sessions that are still open, as incomplete, and frees everything.

        The journals of these stay: a server on the same folder can go on with them.
        """
        self._ending = True
        self._upkeep.stop()
        for task in self._reopening.values():
            task.cancel()
        for session_id, host in list(self._hosts.items()):
            match host.session.phase:
                case Phase.IDLE | Phase.COMPLETED:
                    host.forget()
                    continue
                case Phase.FAILED:
                    pass
                case _:
                    log.warning("session %s is ended before all of it was recognised", session_id)
                    self.saved_at_end += await self._transcripts.try_to_save(host.engine.transcript())
            host.close()
        self._hosts.clear()
        await self.executor.shutdown()

    @property
    def suspended(self) -> int:
        """How many sessions wait for their clients, and are open in no server."""
        return len(self._suspended)

    # --- sessions ------------------------------------------------------------------------------------------

    async def create(self, wanted: CreateSession) -> CreatedSession:
        """Makes a session; its model is loaded first if need be.

        Raises:
            LimitError: no more sessions are taken now.
            ModelError: its model can't be had or loaded.
            LanguageError: the model doesn't know its language.
            StorageError: its journal can't be begun.
        """
        self._admit()
        self._coming += 1
        try:
            host, token = await self._opener.new(wanted)
        finally:
            self._coming -= 1
        host.welcome(wanted.origin)
        self._take_in(host)
        self.telemetry.created()
        session = host.session
        return CreatedSession(
            session.session_id,
            WS_PATH.format(session_id=session.session_id),
            token,
            session.limits,
            exposed=self.settings.exposed,
            model=session.model,
        )

    async def host_or_reopen(self, session_id: str) -> SessionHost:
        """A live session, or a suspended one that is live from now on; its model is loaded first if need be.

        Raises:
            SessionNotFoundError: the id is no UUID, or the session is neither.
            LimitError: no more sessions are taken now, or another server has it open.
            StorageError: its journal can't be read.
            ModelError: its model can't be had or loaded.
        """
        session_id = _uuid(session_id)
        if host := self._hosts.get(session_id):
            return host
        found = self._suspended.get(session_id)
        if not isinstance(found, Suspended) or found.status.phase in TERMINAL:
            raise SessionNotFoundError("session_unknown", session_id=session_id)
        task = self._reopening.get(session_id)
        if task is None:
            self._admit()
            self._reopening[session_id] = task = asyncio.create_task(self._reopen(session_id))
            task.add_done_callback(lambda _: self._reopening.pop(session_id))
        return await asyncio.shield(task)  # a client that goes away meanwhile comes back

    def host(self, session_id: str) -> SessionHost | None:
        """A live session.

        Raises:
            SessionNotFoundError: the id is no UUID.
        """
        return self._hosts.get(_uuid(session_id))

    def known(self, session_id: str) -> Known:
        """A session: live, suspended, or finished within the last day.

        Raises:
            SessionNotFoundError: the id is no UUID, or nothing is known of it.
        """
        found = self._find(session_id)
        if found is None:
            raise SessionNotFoundError("session_unknown", session_id=session_id)
        return found

    def pages(self, session_id: str) -> tuple[str, ...]:
        """Origins of the web pages that a session was made for.

        Raises:
            SessionNotFoundError: the id is no UUID.
        """
        found = self._find(session_id)
        return found.pages if found else ()

    async def renew_token(self, session_id: str, origin: str | None = None) -> str:
        """A fresh session token; the ones out there stay valid until its first use.

        Args:
            session_id: of a session that is live or suspended.
            origin: of the page that it is for, which may use the session from now on.

        Raises:
            SessionNotFoundError: the session is neither.
            LimitError: it is suspended, and no more sessions are taken now.
            StorageError: its journal can't be read.
            ModelError: its model can't be had or loaded.
        """
        host = await self.host_or_reopen(session_id)
        host.welcome(origin)
        return host.issue_token()

    def is_owner(self, token: str | None) -> bool:
        """Whether it is the API token."""
        return auth.matches(token, self._api_token_hash)

    def authorise(self, session_id: str, token: str | None) -> Known:
        """A session for one who may see it.

        Raises:
            SessionNotFoundError: the id is no UUID, or nothing is known of it; told to the owner only.
            AuthenticationError: the token is neither the API's nor the session's.
        """
        found = self._find(session_id)
        if not auth.matches(token, self._api_token_hash, *(found.token_hashes if found else ())):
            raise AuthenticationError("authentication")
        return found or self.known(session_id)

    def visible(self, token: str | None) -> list[Known]:
        """Live sessions, then suspended and finished ones, newest first: all for the owner, else one's own.

        Raises:
            AuthenticationError: the token is nobody's.
        """
        everything: list[Known] = [
            *reversed(self._hosts.values()),
            *reversed(self._suspended),
            *reversed(self._tombstones),
        ]
        visible = [one for one in everything if auth.matches(token, self._api_token_hash, *one.token_hashes)]
        if not visible and not self.is_owner(token):
            raise AuthenticationError("authentication")
        return visible

    async def transcript(self, session_id: str, token: str | None, format: str) -> str:  # noqa: A002 - as in REST
        """What is final by now; of a finished session what was saved.

        Raises:
            SessionNotFoundError: nothing is known of the session, or its words and times are purged.
            AuthenticationError: the token is neither the API's nor the session's.
            StorageError: the saved file can't be read.
        """
        found = self.authorise(session_id, token)
        if isinstance(found, SessionHost):
            return await self._transcripts.render(found.engine.transcript(), format)
        if isinstance(found, Suspended):
            state = await self._suspended.state(found.status.session_id)
            return await self._transcripts.render(transcript_of(state), format)
        if format != "txt" or not found.file:
            raise SessionNotFoundError("transcript_purged", session_id=session_id, format=format)
        return await self._transcripts.read(found.file)

    async def events(self, session_id: str) -> tuple[str, ...]:
        """The numbered events of a suspended session, from 1.

        Raises:
            SessionNotFoundError: the id is no UUID, or its journal is gone.
            StorageError: it can't be read.
        """
        return (await self._suspended.state(_uuid(session_id))).frames

    async def history(self) -> list[TranscriptHeader]:
        """The saved transcripts.

        Raises:
            StorageError: the folder can't be read.
        """
        return await self._transcripts.history()

    async def delete(self, session_id: str, token: str | None, *, file: bool) -> None:
        """Ends an open session without saving, or forgets a finished one; again it changes nothing.

        Raises:
            SessionNotFoundError: the id is no UUID.
            AuthenticationError: the token is neither the API's nor the session's.
            OverloadedError: it is being taken up by another server.
            StorageError: its file or journal can't be deleted.
        """
        try:
            found = self.authorise(session_id, token)
        except SessionNotFoundError:
            _uuid(session_id)
            return
        session_id = _uuid(session_id)
        if isinstance(found, SessionHost):
            found.abort()
        elif isinstance(found, Tombstone) and file and found.file:
            await self._transcripts.remove(found.file)
        await self._suspended.delete(session_id)
        self._tombstones.forget(session_id)

    # --- inside --------------------------------------------------------------------------------------------

    def _find(self, session_id: str) -> Known | None:
        session_id = _uuid(session_id)
        return (
            self._hosts.get(session_id) or self._suspended.get(session_id) or self._tombstones.get(session_id)
        )

    def _admit(self) -> None:
        running = sum(not host.settled.is_set() for host in self._hosts.values())
        admit_session(
            running=self._coming + len(self._reopening) + running,
            limit=self.settings.max_sessions,
            ram_available_mb=self._upkeep.sample.ram_available_mb,
            ending=self._ending,
        )

    async def _reopen(self, session_id: str) -> SessionHost:
        host = await self._opener.again(session_id)
        self._take_in(host)
        self._suspended.reopened(session_id)
        log.info("session %s is taken up again", session_id)
        return host

    def _take_in(self, host: SessionHost) -> None:
        self._hosts[host.session.session_id] = host
        host.engine.resources(self._upkeep.sample, self._clock())
        host.drain()

    def _bury(self, host: SessionHost) -> None:
        session = host.session
        del self._hosts[session.session_id]
        self.telemetry.ended(session.phase.value)
        ends = session.events_after(max(0, session.last_event - 1))
        status = host.engine.status()
        self._tombstones.bury(
            Tombstone(
                status,
                host.metadata,
                session.token_hashes,
                ends[-1] if ends else "",
                status.file,
                self._clock(),
                host.pages,
            )
        )

    def _suspend(self, host: SessionHost) -> None:
        del self._hosts[host.session.session_id]
        self._suspended.add(host)


def _uuid(session_id: str) -> str:
    """The id as it is written here.

    Raises:
        SessionNotFoundError: it is no UUID.
    """
    try:
        return str(UUID(session_id))
    except ValueError:
        raise SessionNotFoundError("session_no_uuid", session_id=session_id[:80]) from None

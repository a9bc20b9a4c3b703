"""All sessions of one server: made here, found here, and purged from here when they end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final as Constant
from uuid import UUID, uuid4

from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.status import SessionStatus
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import AuthenticationError, SessionNotFoundError, StorageError
from rtstt_lab.protocol.lifecycle import TERMINAL, Phase
from rtstt_lab.protocol.messages import CreatedSession, CreateSession
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.recognition.models import ModelStore, Progress
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import DecoderOptions
from rtstt_lab.server import auth, heap
from rtstt_lab.server.executor import Executor
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.limits import admit_session
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.monitor import ResourceMonitor
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.server.telemetry import Telemetry
from rtstt_lab.texts import preferred_language
from rtstt_lab.transcript import Transcript, TranscriptHeader, history, render, save

WS_PATH: Constant = "/api/streaming/sessions/{session_id}/ws"
_SAMPLE_EVERY_S: Constant = 1.0
_TRIM_EVERY_S: Constant = 10.0
_LOW_RAM_MB: Constant = 1024.0
_TOMBSTONE_S: Constant = 24 * 3600.0
_MAX_TOMBSTONES: Constant = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What stays of a finished session for a day (L5).

    Attributes:
        status: the last one.
        metadata: as given at its creation.
        token_hashes: of the tokens that were valid at the end.
        last_event: the frame that told the end, for a client that was cut off before it came.
        file: the saved transcript, if there is one.
        buried_s: when, on the registry's clock.
    """

    status: SessionStatus
    metadata: Mapping[str, str]
    token_hashes: tuple[str, ...]
    last_event: str
    file: str
    buried_s: float


class SessionRegistry:
    """The sessions, and what they share: models, threads, the folder of transcripts, the watch on the host.

    Args:
        settings: of the server.

    Attributes:
        telemetry: the figures for Prometheus.
        saved_at_end: files of the sessions that were open when the server ended.
    """

    def __init__(self, settings: ServerSettings) -> None:
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
        self._language_ui = preferred_language(os.environ)
        self._models = ModelPool(ModelStore(), options, self._clock)
        self._executor = Executor(options.workers)
        self._monitor = ResourceMonitor(self._clock)
        self._sample = self._monitor.sample()
        self._trimmed_s = self._clock()
        self._hosts: dict[str, SessionHost] = {}
        self._coming = 0
        self._tombstones: dict[str, Tombstone] = {}
        self._watching: asyncio.Task[None] | None = None
        self._ending = False

    # --- the server's life ---------------------------------------------------------------------------------

    async def start(self, progress: Progress | None = None) -> None:
        """Loads and warms the server's own model, which stays, and begins to watch the machine.

        Raises:
            ModelError: it can't be had or loaded.
            LanguageError: it doesn't know the server's language.
        """
        await self._models.borrow(self.settings.model, self.settings.language, progress=progress)
        self._watching = asyncio.create_task(self._watch())

    async def settle(self) -> None:
        """Takes nothing new, and recognises and saves what every session has been sent."""
        self._ending = True
        hosts = list(self._hosts.values())
        for host in hosts:
            host.engine.finish(self._clock())
            host.drain()
        await asyncio.gather(*(host.settled.wait() for host in hosts))
        self.saved_at_end += [file for host in hosts if (file := host.engine.status().file)]

    async def close(self) -> None:
        """Saves what is final of sessions that are still open, as incomplete, and frees everything."""
        self._ending = True
        if self._watching is not None:
            self._watching.cancel()
        for session_id, host in list(self._hosts.items()):
            if host.session.phase not in TERMINAL | {Phase.IDLE}:
                log.warning("session %s is ended before all of it was recognised", session_id)
                await self._save_now(host)
            host.close()
        self._hosts.clear()
        await self._executor.shutdown()

    # --- sessions ------------------------------------------------------------------------------------------

    async def create(self, wanted: CreateSession) -> CreatedSession:
        """Makes a session; its model is loaded first if need be.

        Raises:
            LimitError: no more sessions are taken now.
            ModelError: its model can't be had or loaded.
            LanguageError: the model doesn't know its language.
        """
        admit_session(
            running=self._coming + sum(not host.settled.is_set() for host in self._hosts.values()),
            limit=self.settings.max_sessions,
            ram_available_mb=self._sample.ram_available_mb,
            ending=self._ending,
        )
        model = wanted.model or self.settings.model
        language = wanted.language or self.settings.language
        language = None if language == "auto" else language
        self._coming += 1
        try:
            decoder = await self._models.borrow(model, language)
        finally:
            self._coming -= 1
        try:
            recognizer = StreamingRecognizer(
                decoder, language=language, prompt=wanted.prompt, clock=time.perf_counter
            )
        except BaseException:
            self._models.give_back(model)
            raise
        session_id, token = str(uuid4()), auth.new_token()
        session = ServerSession(
            session_id,
            token_hash=token_hash(token),
            new_token=auth.new_token,
            api_token_hash=self._api_token_hash,
            limits=self.settings.limits.of_session(),
            model=model,
            language=language,
        )
        self._hosts[session_id] = host = SessionHost(
            session,
            SessionEngine(session, started_at=datetime.now().astimezone(), now=self._clock()),
            SessionWorker(recognizer, cpu_clock=time.perf_counter),
            metadata=wanted.metadata,
            executor=self._executor,
            save=self._save,
            clock=self._clock,
            freed=lambda: self._models.give_back(model),
            released=self._bury,
        )
        host.welcome(wanted.origin)
        host.engine.resources(self._sample, self._clock())
        host.drain()
        self.telemetry.created()
        return CreatedSession(
            session_id,
            WS_PATH.format(session_id=session_id),
            token,
            session.limits,
            exposed=self.settings.exposed,
        )

    def host(self, session_id: str) -> SessionHost | None:
        """A live session.

        Raises:
            SessionNotFoundError: the id is no UUID.
        """
        return self._hosts.get(_uuid(session_id))

    def tombstone(self, session_id: str) -> Tombstone:
        """A finished session.

        Raises:
            SessionNotFoundError: the id is no UUID, or nothing is known of it.
        """
        found = self._tombstones.get(_uuid(session_id))
        if found is None:
            raise SessionNotFoundError("session_unknown", session_id=session_id)
        return found

    def renew_token(self, session_id: str, origin: str | None = None) -> str:
        """A fresh session token; the ones out there stay valid until its first use.

        Args:
            session_id: of a live session.
            origin: of the page that it is for, which may use the session from now on.

        Raises:
            SessionNotFoundError: the session isn't live.
        """
        if host := self.host(session_id):
            host.welcome(origin)
            return host.session.issue_token()
        raise SessionNotFoundError("session_unknown", session_id=session_id)

    def is_owner(self, token: str | None) -> bool:
        """Whether it is the API token."""
        return auth.matches(token, self._api_token_hash)

    def authorise(self, session_id: str, token: str | None) -> SessionHost | Tombstone:
        """A session, live or finished, for one who may see it.

        Raises:
            SessionNotFoundError: the id is no UUID, or nothing is known of it; told to the owner only.
            AuthenticationError: the token is neither the API's nor the session's.
        """
        found = self.host(session_id) or self._tombstones.get(_uuid(session_id))
        if not auth.matches(token, self._api_token_hash, *_hashes(found)):
            raise AuthenticationError("authentication")
        return found or self.tombstone(session_id)

    def visible(self, token: str | None) -> list[SessionHost | Tombstone]:
        """Live sessions, then finished ones, newest first: all for the owner, its own for a session.

        Raises:
            AuthenticationError: the token is nobody's.
        """
        everything: list[SessionHost | Tombstone] = [
            *reversed(self._hosts.values()),
            *reversed(self._tombstones.values()),
        ]
        visible = [one for one in everything if auth.matches(token, self._api_token_hash, *_hashes(one))]
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
            return render(found.engine.transcript(), format, self._language_ui)
        if format != "txt" or not found.file:
            raise SessionNotFoundError("transcript_purged", session_id=session_id, format=format)
        try:
            return await asyncio.to_thread(Path(found.file).read_text, "utf-8")
        except OSError as error:
            raise StorageError(
                "transcript_unreadable", path=found.file, reason=error.strerror or error
            ) from error

    async def history(self) -> list[TranscriptHeader]:
        """The saved transcripts.

        Raises:
            StorageError: the folder can't be read.
        """
        return await asyncio.to_thread(history, self.settings.output)

    async def delete(self, session_id: str, token: str | None, *, file: bool) -> None:
        """Ends a live session without saving, or forgets a finished one; doing it again changes nothing.

        Raises:
            SessionNotFoundError: the id is no UUID.
            AuthenticationError: the token is neither the API's nor the session's.
        """
        try:
            found = self.authorise(session_id, token)
        except SessionNotFoundError:
            _uuid(session_id)
            return
        if isinstance(found, SessionHost):
            found.engine.abort(self._clock())
            found.drain()
        stone = self._tombstones.pop(_uuid(session_id))
        if file and stone.file:
            await asyncio.to_thread(Path(stone.file).unlink, missing_ok=True)

    # --- inside --------------------------------------------------------------------------------------------

    def _save(self, transcript: Transcript) -> Path:
        return save(transcript, self.settings.output, self._language_ui)

    async def _save_now(self, host: SessionHost) -> None:
        try:
            file = await asyncio.to_thread(self._save, host.engine.transcript())
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the message says it all
        else:
            self.saved_at_end.append(str(file))

    def _bury(self, host: SessionHost) -> None:
        session = host.session
        del self._hosts[session.session_id]
        self.telemetry.ended(session.phase.value)
        ends = session.events_after(max(0, session.last_event - 1))
        status = host.engine.status()
        self._tombstones[session.session_id] = Tombstone(
            status, host.metadata, session.token_hashes, ends[-1] if ends else "", status.file, self._clock()
        )
        while len(self._tombstones) > _MAX_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    async def _watch(self) -> None:
        """Once a second: looks at the machine, tells every session, frees what is idle."""
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            try:
                await self._look()
            except Exception:  # a look that fails must not be the last one: memory is guarded by it
                log.exception("the machine could not be looked at")

    async def _look(self) -> None:
        self._sample = sample = await asyncio.to_thread(self._monitor.sample)
        self.telemetry.sampled(sample, len(self._hosts))
        self._models.release_idle(
            0.0 if sample.ram_available_mb < _LOW_RAM_MB else self.settings.idle_model_s
        )
        for host in list(self._hosts.values()):
            host.engine.resources(sample, self._clock())
            host.drain()
        expired = self._clock() - _TOMBSTONE_S
        for session_id in [i for i, stone in self._tombstones.items() if stone.buried_s < expired]:
            del self._tombstones[session_id]
        if self._clock() - self._trimmed_s >= _TRIM_EVERY_S:
            await asyncio.to_thread(heap.trim)
            self._trimmed_s = self._clock()


def _hashes(session: SessionHost | Tombstone | None) -> tuple[str, ...]:
    match session:
        case SessionHost():
            return session.session.token_hashes
        case Tombstone():
            return session.token_hashes
        case None:
            return ()


def _uuid(session_id: str) -> str:
    """The id as it is written here.

    Raises:
        SessionNotFoundError: it is no UUID.
    """
    try:
        return str(UUID(session_id))
    except ValueError:
        raise SessionNotFoundError("session_no_uuid", session_id=session_id[:80]) from None

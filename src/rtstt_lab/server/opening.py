"""Makes sessions: new ones, and those that their journals know, from the model to the host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from rtstt_lab.engine.journal import SessionRecord, SessionState
from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import SessionNotFoundError
from rtstt_lab.protocol.messages import CreateSession
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.server import auth
from rtstt_lab.server.executor import Executor
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.journal import Journal, JournalFolder
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Ends:
    """What a host calls at the turns of its session.

    Attributes:
        save: writes the transcript; called on a thread.
        released: the session is over.
        suspended: nobody has come back; what is left of it is its journal.
    """

    save: Callable[[Transcript], Path]
    released: Callable[[SessionHost], None]
    suspended: Callable[[SessionHost], None]


class SessionOpener:
    """What all sessions of a server are made of.

    Args:
        settings: of the server.
        models: lends the decoders.
        executor: does the work.
        journals: where each session's journal lies.
        ends: see `Ends`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        models: ModelPool,
        executor: Executor,
        journals: JournalFolder,
        ends: Ends,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._api_token_hash = token_hash(settings.api_token)
        self._models = models
        self._executor = executor
        self._journals = journals
        self._ends = ends
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def new(self, wanted: CreateSession) -> tuple[SessionHost, str]:
        """A new session and its first token; its model is loaded first if need be.

        Raises:
            ModelError: its model can't be had or loaded.
            LanguageError: the model doesn't know its language.
            StorageError: its journal can't be begun.
        """
        language = wanted.language or self._settings.language
        record = SessionRecord(
            session_id=str(uuid4()),
            model=wanted.model or self._settings.model,
            started_at=datetime.now().astimezone(),
            language=None if language == "auto" else language,
            prompt=wanted.prompt,
            metadata=wanted.metadata,
            limits=self._settings.limits.of_session(),
        )
        decoder = await self._models.borrow(record.model, record.language)
        journal = None
        try:
            journal = self._journals.create(record.session_id)
            host = self._host(record, decoder, journal, token := auth.new_token())
        except BaseException:
            self._models.give_back(record.model)
            if journal is not None:
                journal.delete()
            raise
        host.keep(record)
        return host, token

    async def again(self, session_id: str) -> SessionHost:
        """A suspended session, where its journal leaves it; its model is loaded first if need be.

        Raises:
            SessionNotFoundError: there is no journal of it, it has ended, or nobody was ever told of it.
            OverloadedError: another server has it open.
            StorageError: its journal can't be read.
            ModelError: its model can't be had or loaded.
        """
        async with self._one_at_a_time:  # several such threads would hold the loop up by their turns
            journal, state = await asyncio.to_thread(self._journals.take_up, session_id)
        try:
            if state.completed is not None or not state.token_hashes:
                raise SessionNotFoundError("session_unknown", session_id=session_id)  # noqa: TRY301
            model = state.session.model
            decoder = await self._models.borrow(model, state.language)
            try:
                return self._host(state.session, decoder, journal, state=state)
            except BaseException:
                self._models.give_back(model)
                raise
        except BaseException:
            journal.close()
            raise

    def _host(
        self,
        record: SessionRecord,
        decoder: WhisperDecoder,
        journal: Journal,
        token: str = "",
        *,
        state: SessionState | None = None,
    ) -> SessionHost:
        language = state.language if state else record.language
        session = ServerSession(
            record.session_id,
            token_hash=token_hash(token),
            new_token=auth.new_token,
            api_token_hash=self._api_token_hash,
            limits=record.limits,
            model=record.model,
            language=language,
            restored=state.protocol if state else None,
        )
        recognizer = StreamingRecognizer(
            decoder,
            language=language,
            prompt=record.prompt,
            start=state.recognizer if state else None,
            clock=time.perf_counter,
        )
        host = SessionHost(
            session,
            SessionEngine(session, started_at=record.started_at, now=self._clock(), state=state),
            SessionWorker(recognizer, cpu_clock=time.perf_counter, start=state.worker if state else None),
            decoder,
            journal,
            metadata=record.metadata,
            executor=self._executor,
            save=self._ends.save,
            clock=self._clock,
            freed=lambda: self._models.give_back(record.model),
            released=self._ends.released,
            suspended=self._ends.suspended,
        )
        host.pages = state.pages if state else ()
        return host

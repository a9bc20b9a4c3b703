"""Sessions that no server has open: finished ones, for a day, and suspended ones, by their journals."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final as Constant

from rtstt_lab.engine.journal import SessionState, recover
from rtstt_lab.engine.status import SessionStatus, Stage
from rtstt_lab.errors import RtsttError, ServiceError, StorageError
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.journal import Journal, JournalFolder
from rtstt_lab.transcript import Transcript

KEPT_S: Constant = 24 * 3600.0
"""So long a suspended session can be taken up again, and a finished one says how it ended."""
_COMPLETED_S: Constant = 600.0
"""So long a finished session's journal stays where its server was killed before the client knew."""
_MOST: Constant = 10_000

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
        pages: origins of the web pages that it was made for.
    """

    status: SessionStatus
    metadata: Mapping[str, str]
    token_hashes: tuple[str, ...]
    last_event: str
    file: str
    buried_s: float
    pages: tuple[str, ...] = ()


class Tombstones:
    """Finished sessions, the oldest first.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stones: dict[str, Tombstone] = {}

    def get(self, session_id: str) -> Tombstone | None:
        """A finished session, if it is known."""
        return self._stones.get(session_id)

    def bury(self, stone: Tombstone) -> None:
        """Adds one; of too many the oldest goes."""
        self._stones[stone.status.session_id] = stone
        while len(self._stones) > _MOST:
            del self._stones[next(iter(self._stones))]

    def forget(self, session_id: str) -> Tombstone | None:
        """Drops one, and gives it back."""
        return self._stones.pop(session_id, None)

    def expire(self) -> None:
        """Drops those that are a day old."""
        limit_s = self._clock() - KEPT_S
        for session_id in [i for i, stone in self._stones.items() if stone.buried_s <= limit_s]:
            del self._stones[session_id]

    def __reversed__(self) -> Iterator[Tombstone]:
        return reversed(self._stones.values())


@dataclass(frozen=True, slots=True)
class Suspended:
    """A session that nobody has open; its text is in its journal only.

    Attributes:
        status: as the journal leaves it.
        metadata: as given at its creation.
        token_hashes: of the valid tokens.
        pages: origins of the web pages that it was made for.
        written_s: when the journal was last written (Unix time).
        ended: how it ended, if its server was killed before that was known to the client.
    """

    status: SessionStatus
    metadata: Mapping[str, str]
    token_hashes: tuple[str, ...]
    pages: tuple[str, ...]
    written_s: float
    ended: Tombstone | None = None


class SuspendedSessions:
    """What lies in the folder of journals, and is open in no server.

    Args:
        folder: of the journals.
        save: writes a transcript; called on a thread.
        clock: the registry's, for tombstones.
        wall: Unix time, which also the files' times are in.
    """

    def __init__(
        self,
        folder: JournalFolder,
        save: Callable[[Transcript], Path],
        *,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._save = save
        self._clock = clock
        self._wall = wall
        self._sessions: dict[str, Suspended] = {}
        self._one_at_a_time = asyncio.Lock()
        self._reading = asyncio.Lock()

    def get(self, session_id: str) -> Suspended | Tombstone | None:
        """A suspended session, if it is known."""
        found = self._sessions.get(session_id)
        return found and (found.ended or found)

    def __len__(self) -> int:
        return sum(session.ended is None for session in self._sessions.values())

    def __reversed__(self) -> Iterator[Suspended | Tombstone]:
        return (session.ended or session for session in reversed(self._sessions.values()))

    async def refresh(self) -> None:
        """Looks what is there, and gives up what is a day old: its finals are saved, as incomplete.

        Raises:
            StorageError: the folder can't be read.
        """
        async with self._one_at_a_time:
            before = dict(self._sessions)
            found = await asyncio.to_thread(self._look, before)
            for session_id in before.keys() | self._sessions.keys():
                now = self._sessions.get(session_id)
                if now is not before.get(session_id):  # suspended or reopened meanwhile
                    found.pop(session_id, None)
                    found |= {session_id: now} if now else {}
            self._sessions = found

    def add(self, host: SessionHost) -> None:
        """A session of this server was just suspended."""
        self._sessions[host.session.session_id] = Suspended(
            replace(host.engine.status(), stage=Stage.SUSPENDED),
            host.metadata,
            host.token_hashes,
            host.pages,
            host.journal.written_s,
        )

    def reopened(self, session_id: str) -> None:
        """A session is open again."""
        self._sessions.pop(session_id, None)

    async def state(self, session_id: str) -> SessionState:
        """All that a session's journal tells.

        Raises:
            SessionNotFoundError: it is gone.
            StorageError: it can't be read.
        """
        async with self._reading:
            return await asyncio.to_thread(lambda: recover(self._folder.read(session_id)))

    async def delete(self, session_id: str) -> None:
        """Forgets a session, journal and all.

        Raises:
            OverloadedError: another server has it open by now.
            StorageError: the journal can't be removed.
        """
        async with self._one_at_a_time:
            if self._sessions.pop(session_id, None):
                journal, _ = await asyncio.to_thread(self._folder.take, session_id)
                await asyncio.to_thread(_remove, journal)

    def _look(self, known: dict[str, Suspended]) -> dict[str, Suspended]:
        now_s = self._wall()
        found: dict[str, Suspended] = {}
        for session_id, written_s in [*self._folder.sessions().items()][-_MOST:]:
            before = known.get(session_id)
            if before is not None and before.written_s == written_s:
                found[session_id] = before
            else:
                self._take_in(found, session_id)
            ended = session_id in found and found[session_id].ended is not None
            if written_s <= now_s - (_COMPLETED_S if ended else KEPT_S) and self._give_up(session_id):
                found.pop(session_id, None)
        return found

    def _take_in(self, found: dict[str, Suspended], session_id: str) -> None:
        """Notes a session, unless it is open somewhere or can't be read."""
        try:
            journal, records = self._folder.take(session_id)
            written_s = journal.written_s
            journal.close()
            found[session_id] = self._suspended(recover(records), written_s)
        except ServiceError:  # open in this server or another one, or gone meanwhile
            return
        except StorageError as error:
            log.error("session %s: %s", session_id, error)  # noqa: TRY400 - the message says it all

    def _suspended(self, state: SessionState, written_s: float) -> Suspended:
        status = _status(state)
        pages, metadata = state.pages, state.session.metadata
        ended = None
        if state.completed:
            file = state.completed.summary.file
            ended = Tombstone(
                status, metadata, state.token_hashes, state.frames[-1], file, self._clock(), pages
            )
        return Suspended(status, metadata, state.token_hashes, pages, written_s, ended)

    def _give_up(self, session_id: str) -> bool:
        """Saves what was said, if that was not done, and removes the journal; says whether it is gone."""
        try:
            journal, records = self._folder.take(session_id)
        except RtsttError:
            return False
        try:
            state = recover(records)
        except StorageError:  # of another version, or damaged from its first line on: a day is enough
            state = None
        try:
            if state and state.unfinished and not state.completed:
                self._save(transcript_of(state))
            _remove(journal)
        except StorageError as error:
            log.error("session %s: %s", session_id, error)  # noqa: TRY400 - the message says it all
            journal.close()
            return False
        log.info("session %s: nobody came back for it", session_id)
        return True


def transcript_of(state: SessionState) -> Transcript:
    """What a session has said so far, as its journal tells it; always incomplete."""
    finals = state.unfinished
    return Transcript(
        session_id=state.session.session_id,
        started_at=state.session.started_at,
        finals=finals,
        duration_s=_heard_s(state),
        mean_latency_s=None,
        model=state.session.model,
        language=state.language,
        complete=False,
    )


def _status(state: SessionState) -> SessionStatus:
    session = state.session
    return SessionStatus(
        session_id=session.session_id,
        phase=state.phase.phase,
        stage=Stage.RELEASED if state.completed else Stage.SUSPENDED,
        started_at=session.started_at,
        model=session.model,
        language=state.language,
        audio_s=_heard_s(state),
        waiting_s=0.0,
        words=sum(len(final.words) for final in state.unfinished),
        finals=len(state.finals),
        connected=False,
        received=state.mark.below.received,
        metrics=None,
        file=state.completed.summary.file if state.completed else "",
    )


def _heard_s(state: SessionState) -> float:
    """The audio clock, as far as the journal knows it."""
    ends = [final.words[-1].end_s for final in state.unfinished if final.words]
    return max([state.mark.settled_s, *ends])


def _remove(journal: Journal) -> None:
    try:
        journal.delete()
    finally:
        journal.close()

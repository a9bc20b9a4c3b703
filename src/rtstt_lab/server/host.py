"""Runs one `SessionEngine`: executes its effects, writes what it sends, keeps its timer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final as Constant
from typing import TypeAlias

from rtstt_lab.engine.effects import (
    AudioReport,
    Effect,
    FeedAudio,
    FeedHole,
    FreeWorker,
    Recognise,
    RecognitionReport,
    Release,
    SaveTranscript,
    Suspend,
    WriteJournal,
)
from rtstt_lab.engine.journal import PagesRecord, Record
from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import AudioDecodeError, LimitError, RecognitionError, RtsttError, StorageError
from rtstt_lab.protocol.events import CloseLink
from rtstt_lab.protocol.lifecycle import TERMINAL, Phase
from rtstt_lab.protocol.messages import BlockReceipt
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.server.executor import Executor, Lane, Report, Work
from rtstt_lab.server.journal import Journal
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.transcript import Transcript

Save: TypeAlias = Callable[[Transcript], Path]

_LIVE_FRAMES: Constant = (
    '{"type":"server:transcription_partial"',
    '{"type":"server:metrics"',
)
"""Not numbered, without secrets, and worth a viewer's while."""
_MAX_PAGES: Constant = 8
_NO_MEMORY: Constant = ("bad_alloc", "bad allocation", "out of memory", "Failed to allocate memory")
_TRY_AGAIN_S: Constant = 30.0

log = logging.getLogger(__name__)


class SessionHost:
    """One live session on the event loop; every method is called there.

    Args:
        session: the protocol's side of it.
        engine: decides everything.
        worker: hears and recognises, on the executor's threads,
        decoder: with this model, which other sessions use, too.
        journal: its own, open; closed, or removed, with the session.
        metadata: as given at its creation; shown, and of no other effect.
        executor: shared by all sessions.
        save: writes a transcript; called on a thread.
        clock: monotonic seconds, the event loop's.
        freed: told once, when model and audio are let go of.
        released: told once, when the session is over.
        suspended: told instead, when nobody has come back and the journal is what is left of it.

    Attributes:
        journal: see above.
        settled: set when the session has ended and its transcript is saved, or could not be.
        pages: origins of the web pages that it was made for; of browsers they alone may use it.
    """

    def __init__(
        self,
        session: ServerSession,
        engine: SessionEngine,
        worker: SessionWorker,
        decoder: Hashable,
        journal: Journal,
        *,
        metadata: Mapping[str, str],
        executor: Executor,
        save: Save,
        clock: Callable[[], float],
        freed: Callable[[], None],
        released: Callable[[SessionHost], None],
        suspended: Callable[[SessionHost], None],
    ) -> None:
        self.session = session
        self.engine = engine
        self.journal = journal
        self.metadata = metadata
        self.settled = asyncio.Event()
        self.pages: tuple[str, ...] = ()
        self._executor = executor
        self._lane = Lane(worker, self._work_done, self._work_hangs, decoder)
        self._save = save
        self._clock = clock
        self._freed = freed
        self._released = released
        self._suspended = suspended
        self._outboxes: dict[int, Outbox] = {}
        self._viewers: dict[Outbox, int] = {}
        self._links = 0
        self._timer: asyncio.TimerHandle | None = None
        self._saving: set[asyncio.Task[None]] = set()
        self._over = False
        self._unkept = self._unsafe = False
        self._wanted = True

    @property
    def token_hashes(self) -> tuple[str, ...]:
        """Of the session tokens valid now."""
        return self.session.token_hashes

    def issue_token(self) -> str:
        """A fresh session token; the ones out there stay valid until its first use."""
        token = self.session.issue_token()
        self.drain()
        return token

    def link_opened(self, outbox: Outbox) -> int:
        """Takes up a socket; what is sent to it goes through its outbox.

        Returns:
            The link's number.
        """
        self._links += 1
        self._outboxes[self._links] = outbox
        log.info("session %s: link %d is open", self.session.session_id, self._links)
        self.engine.link_opened(self._clock(), self._links)
        self.drain()
        return self._links

    def link_lost(self, link: int) -> None:
        """The socket is gone, whoever closed it."""
        del self._outboxes[link]
        log.info("session %s: link %d is gone", self.session.session_id, link)
        self.engine.link_lost(link, self._clock())
        self.drain()

    def receive(self, frame: str | bytes, link: int) -> None:
        """A frame that came in."""
        log.debug("session %s: %s of %d came in", self.session.session_id, type(frame).__name__, len(frame))
        try:
            if isinstance(frame, str):
                self.engine.receive_text(frame, self._clock(), link)
            else:
                self.engine.receive_bytes(frame, self._clock(), link)
        except MemoryError:
            self.engine.out_of_memory(self._clock())
        self.drain()

    def receive_block(self, body: bytes, *, token: str, after: int, new: bool) -> BlockReceipt:
        """Chunks and buttons over HTTP; see `ServerSession.receive_block`."""
        receipt = self.engine.receive_block(body, self._clock(), token=token, after=after, new=new)
        self.drain()
        return receipt

    def welcome(self, origin: str | None) -> None:
        """Lets a page of this origin use the session; of many, the newest."""
        if origin is not None and origin not in self.pages:
            self.pages = (*self.pages[1 - _MAX_PAGES :], origin)
            self.keep(PagesRecord(self.pages))

    def watch(self, outbox: Outbox, after: int, *, limit: int) -> None:
        """Sends a viewer the numbered events after this one, and what follows.

        Raises:
            LimitError: so many viewers are there already.
        """
        if len(self._viewers) >= limit:
            raise LimitError("limit_viewers", retry_after_s=_TRY_AGAIN_S, limit=limit)
        self._viewers[outbox] = after
        self._show()

    def unwatch(self, outbox: Outbox) -> None:
        """The viewer is gone."""
        self._viewers.pop(outbox, None)

    def drain(self) -> None:
        """Executes what the engine wants done; to be called after every call of the engine."""
        ending: list[Effect] = []
        while effects := self.engine.effects():
            for effect in effects:
                if isinstance(effect, CloseLink | Suspend | Release):
                    ending.append(effect)
                else:
                    self._execute(effect)
        for link, frame in self.engine.data_to_send(self._clock()):
            self._write(link, frame)
        for effect in ending:
            self._execute(effect)
        self._show()
        if self.session.phase in TERMINAL:
            self.settled.set()
        if not self._over:
            self._arm()

    def keep(self, record: Record) -> None:
        """Writes a record to the journal, or later if that can't be done now; the engine is told."""
        if self._over:
            return
        try:
            self.journal.append(record)
        except StorageError as error:
            self._journal_fails(error)
            self._unkept = True

    def keep_again(self) -> None:
        """Tries to write what could not be written; to be called about once a second."""
        if self._unkept and not self._over:
            try:
                self.journal.flush()
            except StorageError:
                return
            self._unkept = False
            self._journal_works()

    def synced(self, error: StorageError | None) -> None:
        """Whether the disk has taken the journal: what it has not is as good as not written."""
        if error is not None and not self._over:
            self._journal_fails(error)
            self._unsafe = True
        elif self._unsafe and not self._over:
            self._unsafe = False
            self._journal_works()

    def close(self) -> None:
        """Lets go of everything, without a word to the engine; the journal stays."""
        self._over = True
        self._disarm()
        self._free()
        self.journal.close()
        for outbox in (*self._outboxes.values(), *self._viewers):
            outbox.close(1000, "completed")
        self.settled.set()

    def abort(self) -> None:
        """Ends the session without a file or a journal."""
        self._wanted = False
        self.engine.abort(self._clock())
        self.drain()

    def forget(self) -> None:
        """Lets go of everything, the journal too."""
        try:
            self.journal.delete()
        except StorageError as error:
            log.error("session %s: %s", self.session.session_id, error)  # noqa: TRY400 - it says it all
        self.close()

    def _execute(self, effect: Effect) -> None:
        match effect:
            case FeedAudio() | FeedHole() | Recognise():
                self._executor.submit(self._lane, effect)
            case SaveTranscript(transcript):
                self._saving.add(task := asyncio.create_task(self._save_transcript(transcript)))
                task.add_done_callback(self._saving.discard)
            case CloseLink(code, reason, link):
                if outbox := self._outboxes.get(link):
                    outbox.close(code, reason)
            case FreeWorker():
                self._free()
            case Suspend():
                with suppress(StorageError):  # `close` tries again, and says so
                    self.journal.flush()
                self._suspended(self)
                self.close()
            case Release() if self._wanted and self.session.phase is Phase.FAILED:
                self._execute(Suspend())  # what could not be saved is in its journal only
            case Release():
                self.forget()
                self._released(self)
            case WriteJournal(record):
                self.keep(record)

    def _journal_fails(self, error: StorageError) -> None:
        if not (self._unkept or self._unsafe):
            log.error("session %s: %s", self.session.session_id, error)
            self.engine.journal_failed(self._clock())

    def _journal_works(self) -> None:
        if not (self._unkept or self._unsafe):
            self.engine.journal_restored(self._clock())
            self.drain()

    def _work_hangs(self, work: Work) -> None:
        log.error("session %s: %s hangs", self.session.session_id, type(work).__name__)
        self.engine.work_hangs(work, self._clock())
        self.drain()

    def _work_done(self, work: Work, outcome: Report | BaseException) -> None:
        now = self._clock()
        self.engine.work_returned(work)
        match work, outcome:
            case _, BaseException() if _allocation_failed(outcome):
                self.engine.out_of_memory(now)
            case Recognise(job=job), RecognitionReport():
                self.engine.recognised(job, outcome, now)
            case Recognise(job=job), BaseException():
                error = _known(outcome, RecognitionError, "recognition_failed", start_s=0.0)
                self.engine.recognition_failed(job, error, now)
            case FeedAudio(seq=seq) | FeedHole(seq=seq), AudioReport():
                self.engine.audio_fed(seq, outcome, now)
            case FeedAudio(seq=seq) | FeedHole(seq=seq), BaseException():
                error = _known(outcome, AudioDecodeError, "audio_decode", seq=seq)
                self.engine.audio_failed(seq, error, now)
        self.drain()

    async def _save_transcript(self, transcript: Transcript) -> None:
        try:
            try:
                file = await asyncio.to_thread(self._save, transcript)
            except (
                MemoryError,
                RuntimeError,
            ):  # once more, without a thread: the worker's memory is free now
                file = self._save(transcript)
        except Exception as error:  # noqa: BLE001 - a session must not wait for its file for ever
            self.engine.save_failed(_known(error, StorageError, "internal"), self._clock())
        else:
            self.engine.saved(str(file), self._clock())
        self.drain()

    def _write(self, link: int, frame: str | bytes) -> None:
        log.debug("session %s: %s of %d goes out", self.session.session_id, type(frame).__name__, len(frame))
        if outbox := self._outboxes.get(link):
            outbox.put(frame)
        if isinstance(frame, str) and frame.startswith(_LIVE_FRAMES):
            for viewer in self._viewers:
                viewer.put(frame)

    def _show(self) -> None:
        for viewer, seen in self._viewers.items():
            for frame in self.session.events_after(seen):
                viewer.put(frame)
            self._viewers[viewer] = max(seen, self.session.last_event)

    def _arm(self) -> None:
        self._disarm()
        if (deadline := self.engine.next_deadline()) is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self.engine.handle_timer(self._clock())
        self.drain()

    def _free(self) -> None:
        if not self._lane.closed:
            self._executor.close_lane(self._lane)
            self._freed()


def _allocation_failed(error: BaseException | None) -> bool:
    """Whether memory was what lacked; the native libraries say so in words of their own."""
    while error is not None:
        if isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY):
            return True
        error = error.__cause__
    return False


def _known(outcome: BaseException, kind: type[RtsttError], key: str, **parameters: object) -> RtsttError:
    """The error as the house names it; of a foreign one only the type is told: its text may hold anything."""
    if isinstance(outcome, RtsttError):
        return outcome
    log.error("a worker failed", exc_info=outcome)
    return kind(key, reason=type(outcome).__name__, **parameters)

"""The server of a virtual session: engine, worker, journal; suspended, killed, taken up like a real one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias

from rtstt_lab.engine.effects import (
    AudioReport,
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
from rtstt_lab.engine.journal import Record, SessionRecord, SessionState, recover
from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol.events import CloseLink
from rtstt_lab.protocol.messages import BlockReceipt
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.recognition.settings import RecognizerStart
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.replay.agenda import Agenda
from rtstt_lab.replay.machine import Cost, MachineClock, Report, VirtualMachine, Work

SESSION: Final = "00000000-0000-4000-8000-000000000000"
FIRST_TOKEN: Final = "token-0"  # noqa: S105 - of a session that nobody else can reach
_SAMPLE_EVERY_S: Final = 1.0

MakeRecognizer: TypeAlias = Callable[[Callable[[], float], RecognizerStart | None], StreamingRecognizer]
"""Makes a recognizer that reads the given clock, as a server's does, and begins where it is told to."""


class VirtualServer:
    """One session's server in virtual time; its links are the network's.

    Args:
        agenda: virtual time.
        recognizer: makes one for each time that the session is taken up.
        model: its name, as told to the client.
        language: ISO 639-1 code; ``None`` is detection.
        started_at: for the transcript; aware.
        settings: of the server's bounds.
        cost: of each piece of work.

    Attributes:
        suspensions: how often the session was let go, but for its journal.
        kills: how often the server was killed.
    """

    def __init__(
        self,
        agenda: Agenda,
        recognizer: MakeRecognizer,
        *,
        model: str,
        language: str | None,
        started_at: datetime,
        settings: EngineSettings,
        cost: Cost,
    ) -> None:
        self.suspensions = self.kills = 0
        self._agenda = agenda
        self._recognizer = recognizer
        self._settings = settings
        self._cost = cost
        self._tokens = (f"token-{number}" for number in itertools.count(1))
        record = SessionRecord(SESSION, model, started_at, language)
        self._records: list[Record] = [record]
        self._spent_s = 0.0
        self._suspended = self._killed = False
        self._engine, self._machine = self._make(record, None)
        agenda.at(agenda.now_s, self._sample)

    @property
    def cpu_s(self) -> float:
        """Taken so far, unscaled."""
        return self._spent_s + self._machine.cpu_s

    def link_opened(self, now: float, link: int) -> None:
        """A socket was accepted; a session that is a journal only is taken up for it."""
        self._wake()
        self._engine.link_opened(now, link)

    def receive_block(
        self, body: bytes, now: float, *, token: str, after: int, new: bool = False
    ) -> BlockReceipt:
        """A block came; a session that is a journal only is taken up for it."""
        self._wake()
        return self._engine.receive_block(body, now, token=token, after=after, new=new)

    def link_lost(self, link: int, now: float) -> None:
        """The socket is gone."""
        if not self._killed:
            self._engine.link_lost(link, now)

    def receive_text(self, frame: str, now: float, link: int) -> None:
        """A text frame came."""
        self._engine.receive_text(frame, now, link)

    def receive_bytes(self, frame: bytes, now: float, link: int) -> None:
        """A binary frame came."""
        self._engine.receive_bytes(frame, now, link)

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing else happens before."""
        return None if self._suspended else self._engine.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``."""
        self._engine.handle_timer(now)

    def drain(self) -> tuple[list[CloseLink], list[tuple[int, str | bytes]]]:
        """Executes what the engine wants done.

        Returns:
            The links to be closed behind the frames, and the frames to be sent, each with its link.
        """
        closings: list[CloseLink] = []
        now = self._agenda.now_s
        if self._killed:
            return [], []
        for effect in self._engine.effects():
            match effect:
                case FeedAudio() | FeedHole() | Recognise():
                    self._machine.submit(effect)
                case WriteJournal(record):
                    self._records.append(record)
                case SaveTranscript():
                    self._agenda.at(now, lambda: self._engine.saved("", self._agenda.now_s))
                case CloseLink():
                    closings.append(effect)
                case FreeWorker() | Release():
                    self._machine.close()
                case Suspend():
                    self._suspended = True
                    self.suspensions += 1
        return closings, self._engine.data_to_send(now)

    def kill(self) -> None:
        """As ``kill -9``: only the journal is left, for the next one, which comes when it is asked for."""
        self._suspended = self._killed = True
        self.kills += 1
        self._machine.close()

    def close(self) -> None:
        """Ends the worker."""
        self._machine.close()

    def _wake(self) -> None:
        if self._suspended:
            self._suspended = self._killed = False
            self._spent_s += self._machine.cpu_s
            state = recover(self._records)
            self._engine, self._machine = self._make(state.session, state)

    def _make(
        self, record: SessionRecord, state: SessionState | None
    ) -> tuple[SessionEngine, VirtualMachine]:
        session = ServerSession(
            record.session_id,
            token_hash=token_hash(FIRST_TOKEN),
            new_token=lambda: next(self._tokens),
            limits=record.limits,
            model=record.model,
            language=state.language if state else record.language,
            restored=state.protocol if state else None,
        )
        now = self._agenda.now_s
        engine = SessionEngine(session, self._settings, started_at=record.started_at, now=now, state=state)
        clock = MachineClock(self._agenda, self._cost)
        worker = SessionWorker(
            self._recognizer(clock, state.recognizer if state else None),
            cpu_clock=time.process_time,
            start=state.worker if state else None,
        )
        return engine, VirtualMachine(self._agenda, worker, self._work_done, self._cost, clock)

    def _work_done(self, work: Work, outcome: Report | RtsttError) -> None:
        now = self._agenda.now_s
        match work, outcome:
            case Recognise(job=job), RecognitionReport():
                self._engine.recognised(job, outcome, now)
            case Recognise(job=job), RtsttError():
                self._engine.recognition_failed(job, outcome, now)
            case FeedAudio(seq=seq) | FeedHole(seq=seq), AudioReport():
                self._engine.audio_fed(seq, outcome, now)
            case FeedAudio(seq=seq) | FeedHole(seq=seq), RtsttError():
                self._engine.audio_failed(seq, outcome, now)

    def _sample(self) -> None:
        if not self._suspended:
            self._engine.resources(self._machine.sample(), self._agenda.now_s)
        self._agenda.at(self._agenda.now_s + _SAMPLE_EVERY_S, self._sample)

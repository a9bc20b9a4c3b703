"""One session from its first chunk to its saved transcript, without threads, sockets or a clock.

`SessionEngine` stands between `ServerSession`, which speaks with the client, and the `SessionWorker`, which
decodes and recognises. It is told what came in and what was answered, and says what is to be done; see
``effects.py``.
"""

from __future__ import annotations

from datetime import datetime

from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.ending import GONE, SessionEnds
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.engine.status import SessionStatus, Stage
from rtstt_lab.errors import RtsttError, ServiceError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import PhaseEvent
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.timing import earliest
from rtstt_lab.transcript import Transcript


class SessionEngine(SessionEnds):
    """Runs one session; after each call execute `effects`, write `data_to_send`, arm `next_deadline`.

    Args:
        session: its end of the conversation; from now on called by the engine only.
        settings: bounds and times.
        started_at: with time zone; names the transcript.
        now: the time of its creation.
        state: what its journal says, of a session that is taken up again; ``session`` goes on from the same.
    """

    def __init__(
        self,
        session: ServerSession,
        settings: EngineSettings | None = None,
        *,
        started_at: datetime,
        now: float,
        state: SessionState | None = None,
    ) -> None:
        super().__init__(session, settings, started_at=started_at, now=now, state=state)
        if state:
            self._take_up(state, now)

    # --- links ----------------------------------------------------------------------------------------------

    def link_opened(self, now: float, link: int) -> None:
        """A socket was accepted."""
        self._session.link_opened(now, link)
        self._advance(now)

    def link_lost(self, link: int, now: float) -> None:
        """A socket is gone."""
        self._session.link_lost(link, now)
        self._advance(now)

    def receive_text(self, frame: str, now: float, link: int) -> None:
        """A text frame."""
        self._session.receive_text(frame, now, link)
        self._advance(now)

    def receive_bytes(self, frame: bytes, now: float, link: int) -> None:
        """A binary frame."""
        self._session.receive_bytes(frame, now, link)
        self._advance(now)

    def receive_block(
        self, body: bytes, now: float, *, token: str, after: int, new: bool = False
    ) -> wire.BlockReceipt:
        """Chunks and buttons without a link; see `ServerSession.receive_block`. Answer after the effects."""
        receipt = self._session.receive_block(body, now, token=token, after=after, new=new)
        if self._session.link is None:
            self._linkless_at = now + self._settings.linkless_s
            self._telling.release()
        self._advance(now)
        return receipt

    def data_to_send(self, now: float) -> list[tuple[int, str | bytes]]:
        """Frames to write now, each with its link, in order; after the effects have been executed."""
        self._keeping.tell_marks()
        return self._session.data_to_send(now)

    def effects(self) -> list[fx.Effect]:
        """What is to be done, in order; each is given out once."""
        gone = self._stage in GONE and not self._effects
        records = [] if gone else self._keeping.records(whole=self._account.whole)
        effects = [*map(fx.WriteJournal, records), *self._effects]
        self._effects.clear()
        return effects

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing happens before; ``None`` once it is released."""
        if self._stage in GONE:
            return None
        metrics_at = self._metrics_at if self._session.link is not None and self._working else None
        linkless_at = self._linkless_at if self._stage is Stage.OPEN else None
        watch_at = self._watch.deadline() if self._working else None
        return earliest(self._session.next_deadline(), metrics_at, linkless_at, watch_at, self._release_at)

    def handle_timer(self, now: float) -> None:
        """Does what is due by ``now``; calling it early or twice does no harm."""
        self._session.handle_timer(now)
        if self._stage is Stage.OPEN and self._linkless_at is not None and now >= self._linkless_at:
            self._linkless_at = None
            self._give_up_waiting()
        if self._working and now >= self._metrics_at:
            self._metrics_at = now + self._settings.metrics_s
            self._account.metrics = self._session.metrics(self._figures.metrics(self._pipeline, now))
        self._advance(now)

    # --- what can be asked at any time ----------------------------------------------------------------------

    def status(self) -> SessionStatus:
        """The session at this moment."""
        return self._account.status(self._stage)

    def transcript(self) -> Transcript:
        """What is final by now; complete only when the session has ended with all its audio."""
        return self._account.transcript(self._stage)

    # --- answers of the executor ----------------------------------------------------------------------------

    def audio_fed(self, seq: int, report: fx.AudioReport, now: float) -> None:
        """A chunk or hole is with the recognizer."""
        if self._pipeline.audio_fed(seq, report):
            self._figures.quality = report.quality
            self._watch.fed(seq)
            self._telling.lost(report.lost_s)
            self._telling.heard()
        self._advance(now)

    def audio_failed(self, seq: int, error: RtsttError, now: float) -> None:
        """A chunk could not be decoded: once more, then it is a hole of its length (E2)."""
        if self._pipeline.awaits_feed(seq):
            self._figures.errors += 1
            instead = self._pipeline.audio_failed(seq)
            if isinstance(instead, fx.FeedHole):
                self._account.whole = False
                if self._watch.unreadable(seq, error.key):
                    self._session.error(error, seq=seq, numbered=True)
            elif instead is None:
                self._end_at_once(error)
        self._advance(now)

    def recognised(self, job: int, report: fx.RecognitionReport, now: float) -> None:
        """The recognizer has done its job."""
        kind = self._pipeline.recognised(job, report, now)
        if kind is not None:
            self._telling.lost(report.lost_s)
            for result in report.results:
                self._telling.result(result)
            self._telling.heard(everything=kind == "finish")
            if kind == "finish":
                self._save()
        self._advance(now)

    def recognition_failed(self, job: int, error: RtsttError, now: float) -> None:
        """The recognizer failed: once more, then the window is skipped, and the session goes on (E2)."""
        if self._pipeline.awaits(job):
            self._figures.errors += 1
            instead = self._pipeline.recognition_failed(job, now)
            if instead == "skip":
                self._account.whole = False
                self._session.error(error, numbered=True)
            elif instead is None:
                self._end_at_once(error)
        self._advance(now)

    def saved(self, file: str, now: float) -> None:
        """The transcript is a file: the client is told, and the session waits for its acknowledgement."""
        if self._stage is Stage.SAVING:
            self._stage, self._account.file = Stage.ENDED, file
            self._effects.append(fx.FreeWorker())
            self._completed_event = self._session.completed(self._account.summary())
            self._release_at = now + self._settings.acknowledge_s
        self._advance(now)

    def save_failed(self, error: RtsttError, now: float) -> None:
        """The transcript could not be written: the session has failed, its text can still be fetched."""
        if self._stage is Stage.SAVING:
            self._stage = Stage.ENDED
            self._effects.append(fx.FreeWorker())
            self._session.set_phase(PhaseEvent.FAIL)
            self._session.error(error, fatal=True, numbered=True)
            self._release_at = now + self._settings.failed_s
        self._advance(now)

    def resources(self, sample: fx.ResourceSample, now: float) -> None:
        """The machine's figures, about once a second; too little memory ends the session, saved (A2, E3)."""
        self._figures.resources(sample)
        if self._working and sample.ram_available_mb < self._settings.least_memory_mb:
            self._end_at_once(ServiceError("memory_exhausted", left_mb=round(sample.ram_available_mb)))
        elif self._working and (alert := self._alerts.memory(sample.ram_available_mb)):
            self._session.status(alert)
        self._advance(now)

    def out_of_memory(self, now: float) -> None:
        """An allocation failed: what is final is saved, and everything else let go (E3)."""
        if self._working:
            self._end_at_once(ServiceError("memory_exhausted", left_mb=0))
        self._advance(now)

    def work_hangs(self, work: fx.Work, now: float) -> None:
        """A call into the worker has not returned in time: it is told, and waited for a while longer (E2)."""
        if self._working and self._watch.hangs(work, now):
            self._figures.errors += 1
        self._advance(now)

    def work_returned(self, work: fx.Work) -> None:
        """Whatever hung does so no more; its answer follows."""
        self._watch.returned(work)

    def journal_failed(self, _now: float) -> None:
        """The journal can't be written for now: no audio is freed, a person is told, and all else goes on.

        Nothing else happens yet: what follows would be told before it is written.
        """
        self._keeping.failed = True

    def journal_restored(self, now: float) -> None:
        """All of the journal is written after all."""
        self._keeping.failed = False
        self._advance(now)

    def finish(self, now: float) -> None:
        """The server is ending: what was sent is recognised and saved; where nothing was, nothing is."""
        if self._stage is Stage.OPEN:
            self._finish() if self._pipeline.recorded_s else self._release()
        self._advance(now)

    def abort(self, now: float) -> None:
        """The session is deleted: no file, nothing kept."""
        if self._stage not in GONE:
            if self._stage is not Stage.ENDED:
                self._session.error(ServiceError("session_deleted"), fatal=True)
            self._drain(now)
            self._release()

    # --- from one thing to the next -------------------------------------------------------------------------

    def _take_up(self, state: SessionState, now: float) -> None:
        """Goes on where the journal ends; words that will never change become final at once."""
        self._account.whole = state.phase.whole
        for final in state.finals:
            self._account.final(final)
        if state.closing:
            self._telling.result(state.closing)
        self._session.take_up()
        self._advance(now)

    def _advance(self, now: float) -> None:
        if self._stage in GONE:
            self._session.events()  # a client's late words change nothing
            return
        self._drain(now)
        if self._working:
            self._check_length()
            self._pipeline.advance(now)
            self._telling.room(now)
            if self._watch.given_up(now):
                self._end_at_once(ServiceError("recognizer_hangs", seconds=self._settings.hang_s))
            self._drain(now)
            self._leave()
        if self._release_at is not None and now >= self._release_at:
            self._release()

    def _drain(self, now: float) -> None:
        for event in self._session.events():
            match event:
                case ev.ChunkAccepted() | ev.HoleDeclared():
                    self._take(event)
                case ev.ControlApplied(action="stop"):
                    self._finish()
                case ev.ControlApplied(action="pause" | "flush"):
                    self._pipeline.settle()
                case ev.Acknowledged(event=number):
                    if self._completed_event is not None and number >= self._completed_event:
                        self._release_at = now
                case ev.Opened():
                    self._linkless_at = None
                    self._telling.release()
                case ev.ClientLost():
                    self._linkless_at = now + self._settings.linkless_s
                case ev.CloseLink():
                    self._effects.append(event)
                case _:
                    pass

    def _take(self, event: ev.ChunkAccepted | ev.HoleDeclared) -> None:
        if not self._working:
            return
        if isinstance(event, ev.HoleDeclared):
            self._account.whole &= event.reason == "disposed"
            self._pipeline.put(fx.FeedHole(event.seq, event.duration_ms))
            return
        header = event.header
        self._figures.chunk()
        self._pipeline.put(
            fx.FeedAudio(
                header.seq,
                header.stream,
                event.payload,
                event.format,
                header.duration_ms,
                header.captured_ms,
                event.first_payload,
            )
        )

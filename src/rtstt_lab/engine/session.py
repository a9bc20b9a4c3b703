"""One session from its first chunk to its saved transcript, without threads, sockets or a clock.

`SessionEngine` stands between `ServerSession`, which speaks with the client, and the `SessionWorker`, which
decodes and recognises. It is told what came in and what was answered, and says what is to be done; see
``effects.py``.
"""

from __future__ import annotations

from datetime import datetime

from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.figures import Alerts, Figures
from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.engine.status import SessionStatus, Stage
from rtstt_lab.engine.watch import Watch
from rtstt_lab.errors import LimitError, RtsttError, ServiceError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase, PhaseEvent
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.timing import earliest
from rtstt_lab.transcript import Transcript
from rtstt_lab.types import Final, Partial


class SessionEngine:
    """Runs one session; after each call execute `effects`, write `data_to_send`, arm `next_deadline`.

    Args:
        session: its end of the conversation; from now on called by the engine only.
        settings: bounds and times.
        started_at: with time zone; names the transcript.
        now: the time of its creation.
    """

    def __init__(
        self,
        session: ServerSession,
        settings: EngineSettings | None = None,
        *,
        started_at: datetime,
        now: float,
    ) -> None:
        self._session = session
        self._settings = settings = settings or EngineSettings()
        self._started_at = started_at
        self._stage = Stage.OPEN
        self._effects: list[fx.Effect] = []
        self._pipeline = Pipeline(self._effects, feed_ahead_s=settings.feed_ahead_s)
        self._figures = Figures(now)
        limits = session.limits
        self._queue_s = limits.credit_ms / 1000
        self._alerts = Alerts(
            settings.low_memory_mb, self._queue_s, limits.max_session_s - settings.warning_before_s
        )
        self._watch = Watch(settings.no_audio_s, settings.hang_s)
        self._finals: list[Final] = []
        self._whole = True
        self._file = ""
        self._metrics: wire.Metrics | None = None
        self._completed_event: int | None = None
        self._linkless_at: float | None = now + settings.linkless_s
        self._release_at: float | None = None
        self._metrics_at = now + settings.metrics_s

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
        self._advance(now)
        return receipt

    def data_to_send(self, now: float) -> list[tuple[int, str | bytes]]:
        """Frames to write now, each with its link, in order; after the effects have been executed."""
        return self._session.data_to_send(now)

    def effects(self) -> list[fx.Effect]:
        """What is to be done, in order; each is given out once."""
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called, if nothing happens before; ``None`` once it is released."""
        if self._stage is Stage.RELEASED:
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
            self._metrics = self._session.metrics(self._figures.metrics(self._pipeline, now))
        self._advance(now)

    # --- what can be asked at any time ----------------------------------------------------------------------

    def status(self) -> SessionStatus:
        """The session at this moment."""
        return SessionStatus(
            session_id=self._session.session_id,
            phase=self._session.phase,
            stage=self._stage,
            started_at=self._started_at,
            model=self._session.model,
            language=self._session.language,
            audio_s=self._pipeline.audio_s,
            waiting_s=self._pipeline.waiting_s,
            words=self._figures.words,
            finals=len(self._finals),
            connected=self._session.link is not None,
            received=self._session.received,
            metrics=self._metrics,
            file=self._file,
        )

    def transcript(self) -> Transcript:
        """What is final by now; complete only when the session has ended with all its audio."""
        latency = self._session.latency
        return Transcript(
            session_id=self._session.session_id,
            started_at=self._started_at,
            finals=tuple(self._finals),
            duration_s=self._pipeline.audio_s,
            mean_latency_s=latency.mean_ms / 1000 if latency and latency.n else None,
            model=self._session.model,
            language=self._session.language,
            complete=self._whole and self._stage in (Stage.SAVING, Stage.ENDED),
        )

    # --- answers of the executor ----------------------------------------------------------------------------

    def audio_fed(self, seq: int, report: fx.AudioReport, now: float) -> None:
        """A chunk or hole is with the recognizer."""
        if self._pipeline.audio_fed(seq, report):
            self._figures.quality = report.quality
            self._heard()
        self._advance(now)

    def audio_failed(self, seq: int, error: RtsttError, now: float) -> None:
        """A chunk could not be decoded: once more, then it is a hole of its length (E2)."""
        if self._pipeline.awaits_feed(seq):
            self._figures.errors += 1
            instead = self._pipeline.audio_failed(seq)
            if isinstance(instead, fx.FeedHole):
                self._whole = False
                self._session.error(error, seq=seq, numbered=True)
            elif instead is None:
                self._end_at_once(error)
        self._advance(now)

    def recognised(self, job: int, report: fx.RecognitionReport, now: float) -> None:
        """The recognizer has done its job."""
        kind = self._pipeline.recognised(job, report, now)
        if kind is not None:
            for result in report.results:
                self._tell(result)
            self._heard(everything=kind == "finish")
            if kind == "finish":
                self._save()
        self._advance(now)

    def recognition_failed(self, job: int, error: RtsttError, now: float) -> None:
        """The recognizer failed: once more, then the window is skipped, and the session goes on (E2)."""
        if self._pipeline.awaits(job):
            self._figures.errors += 1
            instead = self._pipeline.recognition_failed(job, now)
            if instead == "skip":
                self._whole = False
                self._session.error(error, numbered=True)
            elif instead is None:
                self._end_at_once(error)
        self._advance(now)

    def saved(self, file: str, now: float) -> None:
        """The transcript is a file: the client is told, and the session waits for its acknowledgement."""
        if self._stage is Stage.SAVING:
            self._stage, self._file = Stage.ENDED, file
            self._effects.append(fx.FreeWorker())
            self._completed_event = self._session.completed(
                wire.Summary(
                    duration_s=round(self._pipeline.audio_s, 3),
                    words=self._figures.words,
                    confidence=self._figures.confidence,
                    latency=self._session.latency,
                    received=self._session.received,
                    file=file,
                    complete=self._whole,
                    language=self._session.language,
                    process_cpu_s=round(self._figures.process_cpu_s, 3),
                )
            )
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

    def finish(self, now: float) -> None:
        """The server is ending: what was sent is recognised and saved; where nothing was, nothing is."""
        if self._stage is Stage.OPEN:
            self._finish() if self._pipeline.recorded_s else self._release()
        self._advance(now)

    def abort(self, now: float) -> None:
        """The session is deleted: no file, nothing kept."""
        if self._stage is not Stage.RELEASED:
            if self._stage is not Stage.ENDED:
                self._session.error(ServiceError("session_deleted"), fatal=True)
            self._drain(now)
            self._release()

    # --- from one thing to the next -------------------------------------------------------------------------

    @property
    def _working(self) -> bool:
        return self._stage in (Stage.OPEN, Stage.FINISHING)

    def _advance(self, now: float) -> None:
        if self._stage is Stage.RELEASED:
            self._session.events()  # a client's late words change nothing
            return
        self._drain(now)
        if self._working:
            self._check_length()
            self._pipeline.advance(now)
            self._tell_room()
            self._look(now)
            self._drain(now)
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
            self._whole = False
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
            )
        )

    def _heard(self, *, everything: bool = False) -> None:
        language = self._pipeline.hearing.language
        if language is not None and language != self._session.language:
            self._session.language = language
            self._session.status()
        mark = self._pipeline.mark(everything=everything)
        if mark is not None:
            self._effects.append(fx.WriteJournal(mark))
            self._session.commit(mark.committed_seq, mark.resume_seq)

    def _tell(self, result: Partial | Final) -> None:
        if isinstance(result, Partial):
            self._session.partial(result)
            return
        self._finals.append(result)
        self._figures.final(result.words)
        self._effects.append(fx.WriteJournal(fx.FinalRecord(result)))
        self._session.final(result)

    def _tell_room(self) -> None:
        room_s = self._queue_s - self._pipeline.waiting_s
        self._session.set_credit(round(room_s * 1000))
        if alert := self._alerts.room(room_s):
            self._session.status(alert)
        degraded = "hanging" if self._watch.hanging else "interval" if self._pipeline.slowed else ""
        if degraded != self._session.degraded:
            self._session.degraded = degraded
            self._session.status(numbered=False)

    def _look(self, now: float) -> None:
        for alert in self._watch.alerts(self._session, self._pipeline.waiting_s, now):
            self._session.status(alert, numbered=False)
        if self._watch.given_up(now):
            self._end_at_once(ServiceError("recognizer_hangs", seconds=self._settings.hang_s))

    # --- the ways to end ------------------------------------------------------------------------------------

    def _check_length(self) -> None:
        recorded_s = self._pipeline.recorded_s
        if alert := self._alerts.length(recorded_s):
            self._session.status(alert)
        limit_s = self._session.limits.max_session_s
        if recorded_s >= limit_s and self._stage is Stage.OPEN:
            self._session.error(LimitError("session_length", limit_s=limit_s), numbered=True)
            self._finish()

    def _finish(self) -> None:
        """Everything that is in the queue is still recognised, then saved."""
        if self._stage is Stage.OPEN:
            self._stage = Stage.FINISHING
            if self._session.phase is not Phase.FINALIZING:
                self._session.set_phase(PhaseEvent.STOP)
            self._pipeline.finish()

    def _give_up_waiting(self) -> None:
        """Nobody has come back: what was said is saved; where nothing was, there is nothing to save."""
        if self._pipeline.recorded_s:
            self._whole = False
            self._finish()
        else:
            self._release()

    def _end_at_once(self, error: RtsttError) -> None:
        """What is final is saved without waiting for the rest; memory is let go of before, not after."""
        self._session.error(error, numbered=True)
        self._pipeline.stop()
        self._effects.append(fx.FreeWorker())
        self._whole = False
        if self._session.phase is not Phase.FINALIZING:
            self._session.set_phase(PhaseEvent.STOP)
        self._save()

    def _save(self) -> None:
        self._stage = Stage.SAVING
        self._session.status()
        self._effects.append(fx.SaveTranscript(self.transcript()))

    def _release(self) -> None:
        if self._stage is not Stage.ENDED:
            self._effects.append(fx.FreeWorker())
        self._stage = Stage.RELEASED
        self._pipeline.stop()
        self._release_at = self._linkless_at = None
        self._effects.append(fx.Release())

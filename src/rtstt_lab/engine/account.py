"""What a session has come to: its finals, figures, file, and whether anything of it is missing."""

from __future__ import annotations

from datetime import datetime

from rtstt_lab.engine.figures import Figures
from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.engine.status import SessionStatus, Stage
from rtstt_lab.errors import LimitError
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.transcript import Transcript
from rtstt_lab.types import Final


class Account:
    """Gives an account of a session to those who look at it from outside, and at its end.

    Args:
        session: its end of the conversation.
        pipeline: its recognition.
        figures: what it measures.
        started_at: with time zone.

    Attributes:
        finals: closed segments.
        whole: nothing of its audio is known to be lost.
        file: of the saved transcript, or empty.
        metrics: of the last second.
    """

    def __init__(
        self, session: ServerSession, pipeline: Pipeline, figures: Figures, started_at: datetime
    ) -> None:
        self.finals: list[Final] = []
        self.whole = True
        self.file = ""
        self.metrics: wire.Metrics | None = None
        self._session = session
        self._pipeline = pipeline
        self._figures = figures
        self._started_at = started_at

    def final(self, final: Final) -> None:
        """A segment is closed."""
        self.finals.append(final)
        self._figures.final(final.words)

    def exceeded(self, max_events: int) -> LimitError | None:
        """The limit that the session has reached, if it has; it is finished then (E3)."""
        limits = self._session.limits
        if self._pipeline.recorded_s >= limits.max_session_s:
            return LimitError("session_length", limit_s=limits.max_session_s)
        most_chunks = limits.max_chunks_per_s * limits.max_session_s
        if self._session.next_seq >= most_chunks:  # holes of no length, and chunks that hold nothing
            return LimitError("session_chunks", limit=most_chunks)
        if self._session.last_event >= max_events:
            return LimitError("session_events", limit=max_events)
        return None

    def status(self, stage: Stage) -> SessionStatus:
        """The session at this moment."""
        return SessionStatus(
            session_id=self._session.session_id,
            phase=self._session.phase,
            stage=stage,
            started_at=self._started_at,
            model=self._session.model,
            language=self._session.language,
            audio_s=self._pipeline.audio_s,
            waiting_s=self._pipeline.waiting_s,
            words=self._figures.words,
            finals=len(self.finals),
            connected=self._session.link is not None,
            received=self._session.received,
            metrics=self.metrics,
            file=self.file,
        )

    def transcript(self, stage: Stage) -> Transcript:
        """What is final by now; complete only when the session has ended with all its audio."""
        latency = self._session.latency
        return Transcript(
            session_id=self._session.session_id,
            started_at=self._started_at,
            finals=tuple(self.finals),
            duration_s=self._pipeline.audio_s,
            mean_latency_s=latency.mean_ms / 1000 if latency and latency.n else None,
            model=self._session.model,
            language=self._session.language,
            complete=self.whole and stage in (Stage.SAVING, Stage.ENDED),
        )

    def summary(self) -> wire.Summary:
        """What became of the session."""
        return wire.Summary(
            duration_s=round(self._pipeline.audio_s, 3),
            words=self._figures.words,
            confidence=self._figures.confidence,
            latency=self._session.latency,
            received=self._session.received,
            file=self.file,
            complete=self.whole,
            language=self._session.language,
            process_cpu_s=round(self._figures.process_cpu_s, 3),
        )

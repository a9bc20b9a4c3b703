"""What a session's engine is made of, and the ways in which the session can end."""

from __future__ import annotations

from datetime import datetime
from typing import Final as Constant

from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.account import Account
from rtstt_lab.engine.figures import Alerts, Figures
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.engine.keeping import Keeping
from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.engine.status import Stage
from rtstt_lab.engine.telling import Telling
from rtstt_lab.engine.watch import Watch
from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol.lifecycle import Phase, PhaseEvent
from rtstt_lab.protocol.server import ServerSession

GONE: Constant = frozenset({Stage.SUSPENDED, Stage.RELEASED})


class SessionEnds:
    """A session's parts and its stage; see `SessionEngine` for its arguments."""

    def __init__(
        self,
        session: ServerSession,
        settings: EngineSettings | None = None,
        *,
        started_at: datetime,
        now: float,
        state: SessionState | None = None,
    ) -> None:
        self._session = session
        self._settings = settings = settings or EngineSettings()
        self._stage = Stage.OPEN
        self._effects: list[fx.Effect] = []
        self._pipeline = Pipeline(
            self._effects, feed_ahead_s=settings.feed_ahead_s, context_s=settings.context_s, state=state
        )
        self._figures = Figures(now)
        self._account = Account(session, self._pipeline, self._figures, started_at)
        self._keeping = Keeping(session, state)
        limits = session.limits
        self._alerts = Alerts(
            settings.low_memory_mb,
            limits.credit_ms / 1000,
            limits.max_session_s - settings.warning_before_s,
            on=state.alerts if state else (),
        )
        self._watch = Watch(settings.no_audio_s, settings.hang_s)
        self._telling = Telling(
            session,
            self._pipeline,
            self._account,
            keeping=self._keeping,
            alerts=self._alerts,
            watch=self._watch,
        )
        self._completed_event: int | None = None
        self._linkless_at: float | None = now + settings.linkless_s
        self._release_at: float | None = None
        self._metrics_at = now + settings.metrics_s

    @property
    def _working(self) -> bool:
        return self._stage in (Stage.OPEN, Stage.FINISHING)

    def _check_length(self) -> None:
        if alert := self._alerts.length(self._pipeline.recorded_s):
            self._session.status(alert)
        ending = self._stage is not Stage.OPEN or self._session.phase is Phase.FINALIZING
        if not ending and (error := self._account.exceeded(self._settings.max_events)):
            self._session.error(error, numbered=True)
            self._finish()

    def _finish(self) -> None:
        """Everything that is in the queue is still recognised, then saved."""
        if self._stage is Stage.OPEN:
            self._stage = Stage.FINISHING
            self._telling.release()
            if self._session.phase is not Phase.FINALIZING:
                self._session.set_phase(PhaseEvent.STOP)
            self._pipeline.finish()

    def _give_up_waiting(self) -> None:
        """Nobody has come back: what was begun is suspended (rule 4); where nothing was, nothing is kept."""
        if self._pipeline.recorded_s or self._session.phase is not Phase.IDLE:
            self._telling.hold()
            self._pipeline.settle()
        else:
            self._release()

    def _leave(self) -> None:
        """What was heard last is known and written as well: the session goes, but for its journal."""
        ready = self._telling.holding and self._pipeline.idle and not self._keeping.failed
        if self._stage is Stage.OPEN and ready:
            self._telling.leave()
            self._stage = Stage.SUSPENDED
            self._effects += [fx.FreeWorker(), fx.Suspend()]

    def _end_at_once(self, error: RtsttError) -> None:
        """What is final is saved without waiting for the rest; memory is let go of before, not after."""
        self._telling.release()
        if closing := self._keeping.closing():
            self._telling.result(closing)
        self._session.error(error, numbered=True)
        self._pipeline.stop()
        self._effects.append(fx.FreeWorker())
        self._account.whole = False
        if self._session.phase is not Phase.FINALIZING:
            self._session.set_phase(PhaseEvent.STOP)
        self._save()

    def _save(self) -> None:
        self._stage = Stage.SAVING
        self._session.status()
        self._effects.append(fx.SaveTranscript(self._account.transcript(self._stage)))

    def _release(self) -> None:
        if self._stage is not Stage.ENDED:
            self._effects.append(fx.FreeWorker())
        self._stage = Stage.RELEASED
        self._pipeline.stop()
        self._release_at = self._linkless_at = None
        self._effects.append(fx.Release())

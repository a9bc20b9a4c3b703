"""What a session's client is told of its recognition, and what is kept of it."""

from __future__ import annotations

from rtstt_lab.engine.account import Account
from rtstt_lab.engine.figures import Alerts
from rtstt_lab.engine.keeping import Keeping
from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.engine.watch import Watch
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.types import Final, Partial


class Telling:
    """Between recognition and conversation.

    Args:
        session: the conversation.
        pipeline: the recognition.
        account: of the session.
        keeping: of its journal.
        alerts: what a person is told of.
        watch: see `Watch`.
    """

    def __init__(
        self,
        session: ServerSession,
        pipeline: Pipeline,
        account: Account,
        *,
        keeping: Keeping,
        alerts: Alerts,
        watch: Watch,
    ) -> None:
        self._session = session
        self._pipeline = pipeline
        self._account = account
        self._keeping = keeping
        self._alerts = alerts
        self._watch = watch
        self._queue_s = session.limits.credit_ms / 1000
        self._held: list[Final] | None = None

    @property
    def holding(self) -> bool:
        """Whether nothing is told for now."""
        return self._held is not None

    def hold(self) -> None:
        """Nobody is there, and who comes back brings this audio again: what is told now would come twice."""
        self._held = []

    def release(self) -> None:
        """Somebody has come back in time: what was settled meanwhile is told after all."""
        held, self._held = self._held, None
        for final in held or ():
            self.result(final)

    def leave(self) -> None:
        """Nobody came back: what was not told is left behind for a transcript without its client."""
        self._keeping.tail(word for final in self._held or () for word in self._keeping.new_words(final))

    def result(self, result: Partial | Final) -> None:
        """A partial or a final."""
        if self._held is not None:
            self._held += [result] if isinstance(result, Final) else []
            return
        self._keeping.result(result)
        if isinstance(result, Partial):
            self._session.partial(result)
        else:
            self._account.final(result)
            self._session.final(result)

    def heard(self, *, everything: bool = False) -> None:
        """The recognizer has got on: the language may be settled, and marks may move.

        Args:
            everything: all audio is disposed of.
        """
        language = self._pipeline.hearing.language
        if language is not None and language != self._session.language:
            self._session.language = language
            self._session.status()
        if self._held is None and (mark := self._pipeline.mark(everything=everything)):
            self._keeping.mark(mark)

    def lost(self, seconds: float) -> None:
        """Audio was taken that no decoder could make anything of (E2)."""
        if seconds > 0:
            self._account.whole = False
            self._session.error(AudioDecodeError("audio_gap", seconds=round(seconds, 1)), numbered=True)

    def room(self, now: float) -> None:
        """How much more audio may come, and what a person should know of queue, work and audio."""
        room_s = self._queue_s - self._pipeline.waiting_s
        self._session.set_credit(round(room_s * 1000))
        if alert := self._alerts.room(room_s):
            self._session.status(alert)
        degraded = self._degraded()
        if degraded != self._session.degraded:
            self._session.degraded = degraded
            self._session.status(numbered=False)
        for alert in self._watch.alerts(self._session, self._pipeline.waiting_s, now):
            self._session.status(alert, numbered=False)

    def _degraded(self) -> str:
        if self._keeping.failed:
            return "journal"
        return "hanging" if self._watch.hanging else "interval" if self._pipeline.slowed else ""

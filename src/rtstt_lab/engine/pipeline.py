"""From a chunk in the queue to its words and its commit mark: what is fed and recognised when.

One feed and one recognition at a time are under way; they may overlap while words are still changing, and
never while everything said is being made final.
"""

from __future__ import annotations

import math
from dataclasses import replace

from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.feeding import Feeding, Settle
from rtstt_lab.engine.jobs import Jobs
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.engine.marks import CommitMarks
from rtstt_lab.engine.resumption import Mark
from rtstt_lab.types import SAMPLE_RATE_HZ


class Pipeline:
    """The recognition side of a session.

    Args:
        effects: where its own go.
        feed_ahead_s: unheard speech that is given to the recognizer at once.
        context_s: see `EngineSettings`.
        state: of a session that is taken up again.

    Attributes:
        hearing: the recognizer, as last reported.
        samples: the audio clock.
        recorded_ms: length of all chunks and holes, as their recorder told it.
        decode_s: how long the last recognition took.
    """

    def __init__(
        self,
        effects: list[fx.Effect],
        *,
        feed_ahead_s: float,
        context_s: float = 0.0,
        state: SessionState | None = None,
    ) -> None:
        mark = state.last_mark if state else Mark()
        self.hearing = fx.Hearing(
            mark.resume.at_s, mark.settled_s, 0.0, wants_step=False, slowed=False, language=None
        )
        self.samples = round(mark.resume.at_s * SAMPLE_RATE_HZ)
        self.recorded_ms = state.mark.below.audio_ms if state else 0
        self.decode_s = 0.0
        self._effects = effects
        self._feed_ahead_s = feed_ahead_s
        self._feeding = Feeding()
        self._jobs = Jobs()
        self._marks = CommitMarks(context_s, mark)
        self._begun_at = 0.0

    @property
    def audio_s(self) -> float:
        """The audio clock in seconds."""
        return self.samples / SAMPLE_RATE_HZ

    @property
    def recorded_s(self) -> float:
        """Audio recorded so far, by the recorder's word or by what came out of it, whichever is more."""
        return max(self.recorded_ms / 1000, self.audio_s)

    @property
    def waiting_s(self) -> float:
        """The backlog: audio that no decode has reached."""
        return self._feeding.waiting_s + self.hearing.pending_s

    @property
    def slowed(self) -> bool:
        """Decodes are fewer and cheaper than wanted, since the machine cannot keep up."""
        return self.hearing.slowed

    def put(self, item: fx.FeedAudio | fx.FeedHole) -> None:
        """A chunk or hole, in order."""
        self.recorded_ms += item.duration_ms
        self._feeding.put(item)

    def settle(self) -> None:
        """Everything put so far is to become final; more may follow."""
        self._feeding.put(Settle("settle"))

    def finish(self) -> None:
        """The same, and nothing follows."""
        self._feeding.put(Settle("finish"))

    def stop(self) -> None:
        """Drops what waits; answers still to come are passed over."""
        self._feeding.clear()
        self._jobs.drop()

    def advance(self, now: float) -> None:
        """Begins whatever can be begun."""
        self._feed()
        if self._jobs.current is None:
            settle = self._feeding.next_settle()
            if settle is not None:
                self._begin(settle.kind, now)
            elif not self._feeding.at_settle and (self._full or self.hearing.wants_step):
                self._begin("step", now)

    def audio_fed(self, seq: int, report: fx.AudioReport) -> bool:
        """A chunk or hole is with the recognizer; false if none was waited for."""
        if not self._feeding.fed(seq):
            return False
        hearing = report.hearing
        if self._jobs.current is not None:
            # It may have settled words that its answer has yet to tell: no mark may come before them.
            hearing = replace(hearing, settled_s=self.hearing.settled_s)
        self._hear(report.samples, hearing)
        self._marks.fed(seq)
        self._marks.complete(report.complete_seq, report.samples)
        if report.restart is not None:
            self._marks.restart(seq, report.restart)
        return True

    def audio_failed(self, seq: int) -> fx.FeedAudio | fx.FeedHole | None:
        """A chunk could not be decoded.

        Returns:
            What is fed instead: the same again, then its hole; ``None`` if nothing helps.
        """
        instead = self._feeding.failed(seq)
        if instead is not None:
            self._effects.append(instead)
        return instead

    def recognised(self, job: int, report: fx.RecognitionReport, now: float) -> fx.JobKind | None:
        """A job went well.

        Returns:
            Its kind; ``None`` if none was waited for.
        """
        kind = self._jobs.done(job)
        if kind is None:
            return None
        self.decode_s = now - self._begun_at
        self._hear(report.samples, report.hearing)
        if kind == "finish":
            self._marks.complete(2**31, report.samples)
        interrupted = self._jobs.interrupted() if kind == "skip" else None
        if interrupted is not None:
            self._begin(interrupted, now)
        return kind

    def recognition_failed(self, job: int, now: float) -> fx.JobKind | None:
        """A job failed.

        Returns:
            What is begun instead: the same again, then ``skip``; ``None`` if nothing helps.
        """
        instead = self._jobs.failed(job)
        if instead is not None:
            self._begin(instead, now)
        return instead

    def awaits_feed(self, seq: int) -> bool:
        """Whether this chunk or hole is being fed."""
        return self._feeding.awaits(seq)

    def awaits(self, job: int) -> bool:
        """Whether this is the job under way."""
        return self._jobs.current is not None and self._jobs.current.job == job

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do with what came, but to wait for more."""
        nothing = self._feeding.empty and self._jobs.current is None
        return nothing and not (self._full or self.hearing.wants_step)

    def mark(self, *, everything: bool = False) -> Mark | None:
        """The commit mark, if it has moved; with ``everything`` all audio is disposed of."""
        marks, settled_s = self._marks, self.audio_s if everything else self.hearing.settled_s
        if not marks.settle(math.inf if everything else settled_s):
            return None
        return Mark(marks.committed_seq, settled_s, marks.resume)

    def _hear(self, samples: int, report: fx.Hearing) -> None:
        """Feeds and steps overlap, so a report may be older than the last one in what it has heard."""
        last = self.hearing
        newer_s = max(0.0, last.heard_s - report.heard_s)
        self.samples = max(self.samples, samples)
        self.hearing = replace(
            report,
            heard_s=report.heard_s + newer_s,
            settled_s=max(report.settled_s, last.settled_s),
            pending_s=report.pending_s + newer_s,
            wants_step=report.wants_step or newer_s > 0,
            language=report.language or last.language,
        )

    @property
    def _full(self) -> bool:
        """The recognizer is given no more before it has heard some of what it has, whatever it wants."""
        return self.hearing.pending_s >= self._feed_ahead_s

    def _feed(self) -> None:
        """The next chunk, unless much unheard speech is with the recognizer already, or it is settling."""
        if self._jobs.settling or self._full:
            return
        item = self._feeding.next_feed()
        if item is not None:
            self._effects.append(item)

    def _begin(self, kind: fx.JobKind, now: float) -> None:
        self._begun_at = now
        unsettled_s = max(0.0, self.hearing.heard_s - self.hearing.settled_s)
        self._effects.append(self._jobs.begin(kind, round(unsettled_s, 3)))

"""The recognizer's one job at a time: tried twice, then its window is given up (E2)."""

from __future__ import annotations

from rtstt_lab.engine.effects import JobKind, Recognise


class Jobs:
    """Numbers the jobs, and remembers the one under way and what a skipped window has interrupted."""

    def __init__(self) -> None:
        self._count = 0
        self._failures = 0
        self._current: Recognise | None = None
        self._interrupted: JobKind | None = None

    @property
    def current(self) -> Recognise | None:
        """The job under way."""
        return self._current

    @property
    def settling(self) -> bool:
        """Audio that comes now must wait: everything before it is being made final."""
        kinds = (self._current.kind if self._current else None, self._interrupted)
        return "settle" in kinds or "finish" in kinds

    def begin(self, kind: JobKind, audio_s: float = 0.0) -> Recognise:
        """A new job, on so much audio at most; there must be none under way."""
        self._count += 1
        self._current = Recognise(self._count, kind, audio_s)
        return self._current

    def done(self, job: int) -> JobKind | None:
        """A job went well.

        Returns:
            Its kind; ``None`` if it is not the one under way.
        """
        if self._current is None or self._current.job != job:
            return None
        kind, self._current, self._failures = self._current.kind, None, 0
        return kind

    def failed(self, job: int) -> JobKind | None:
        """A job failed; there is none under way now.

        Returns:
            What to begin instead: the same, and after its second failure to skip the window; ``None`` if it
            is not the one under way, or if not even skipping works.
        """
        if self._current is None or self._current.job != job:
            return None
        kind, self._current = self._current.kind, None
        self._failures += 1
        if self._failures == 1:
            return kind
        self._failures = 0
        if kind == "skip":
            return None
        self._interrupted = kind if kind != "step" else None
        return "skip"

    def interrupted(self) -> JobKind | None:
        """The settling that a skipped window has kept from its end; asked for once."""
        kind, self._interrupted = self._interrupted, None
        return kind

    def drop(self) -> None:
        """Nothing is waited for any more."""
        self._current = self._interrupted = None

"""How often partials are worth their cost on a machine that has other things to do.

Nothing here drops audio: a decode that comes later hears more at once. Finals never wait.
"""

from __future__ import annotations

from typing import Final

from rtstt_lab.engine.effects import Hearing

_BUSY: Final = 0.8
_EASY: Final = 0.5
_SHORTEST_S: Final = 0.5
_STEP: Final = 1.5
_MEMORY: Final = 0.7
_EVIDENCE_S: Final = 2.0


class Pacer:
    """Lengthens the interval between partial decodes while they take as long as the audio does.

    Both are summed up with forgetting, so that neither one dear decode nor one long pause decides.

    Args:
        longest_s: the most audio between two of them.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._interval_s = 0.0
        self._begun_at = 0.0
        self._begun_heard_s = 0.0
        self._audio_s = 0.0
        self._busy_s = 0.0

    @property
    def interval_s(self) -> float:
        """Audio that must come in between; 0 while the machine keeps up."""
        return self._interval_s

    def due(self, hearing: Hearing) -> bool:
        """Whether a step should run now."""
        waited_s = hearing.heard_s - self._begun_heard_s
        return hearing.wants_step and (hearing.wants_final or waited_s >= self._interval_s)

    def begin(self, hearing: Hearing, now: float) -> None:
        """A decode begins."""
        self._audio_s = _MEMORY * self._audio_s + hearing.heard_s - self._begun_heard_s
        self._begun_at, self._begun_heard_s = now, hearing.heard_s

    def end(self, now: float) -> float:
        """It has ended; returns how long it took, and adapts the interval."""
        took_s = now - self._begun_at
        self._busy_s = _MEMORY * self._busy_s + took_s
        if self._audio_s < _EVIDENCE_S:
            return took_s
        if self._busy_s > _BUSY * self._audio_s:
            self._interval_s = min(self._longest_s, max(self._interval_s, _SHORTEST_S) * _STEP)
        elif self._busy_s < _EASY * self._audio_s:
            shorter_s = self._interval_s / _STEP
            self._interval_s = shorter_s if shorter_s > _SHORTEST_S else 0.0
        return took_s

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


class Pacer:
    """Lengthens the interval between partial decodes while they take as long as the audio does.

    Args:
        longest_s: the most audio between two of them.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._interval_s = 0.0
        self._begun_at = 0.0
        self._begun_heard_s = 0.0
        self._advance_s = 0.0

    @property
    def interval_s(self) -> float:
        """Audio that must come in between; 0 while the machine keeps up."""
        return self._interval_s

    def due(self, hearing: Hearing) -> bool:
        """Whether a step should run now."""
        waited_s = hearing.heard_s - self._begun_heard_s
        return hearing.wants_step and (hearing.wants_final or waited_s >= self._interval_s)

    def begin(self, hearing: Hearing, now: float) -> None:
        """A step begins."""
        self._advance_s = hearing.heard_s - self._begun_heard_s
        self._begun_at, self._begun_heard_s = now, hearing.heard_s

    def end(self, now: float) -> float:
        """A step has ended; returns how long it took, and adapts the interval to it."""
        took_s = now - self._begun_at
        if took_s > _BUSY * self._advance_s:
            longer_s = max(took_s, self._interval_s, _SHORTEST_S) * _STEP
            self._interval_s = min(self._longest_s, longer_s)
        elif took_s < _EASY * self._advance_s:
            shorter_s = self._interval_s / _STEP
            self._interval_s = shorter_s if shorter_s > _SHORTEST_S else 0.0
        return took_s

"""Virtual time: a heap of (time, action)."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import TypeAlias

Action: TypeAlias = Callable[[], None]


class Agenda:
    """What is to be done, and when.

    Attributes:
        now_s: virtual time; it only grows.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._waiting: list[tuple[float, int, Action]] = []
        self._count = itertools.count()

    def at(self, when_s: float, action: Action) -> None:
        """Has something done then; of what is due at once, the first asked for goes first."""
        if when_s < math.inf:
            heapq.heappush(self._waiting, (max(when_s, self.now_s), next(self._count), action))

    @property
    def next_s(self) -> float:
        """When something is due; ``inf`` for never."""
        return self._waiting[0][0] if self._waiting else math.inf

    def step(self) -> None:
        """Goes to the next action and does it."""
        self.now_s, _, action = heapq.heappop(self._waiting)
        action()

    def pass_to(self, when_s: float) -> None:
        """Lets time pass without an action."""
        self.now_s = max(self.now_s, when_s)

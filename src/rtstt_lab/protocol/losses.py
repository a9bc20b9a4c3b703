"""What is lost is told run by run: at once, or now and then where much is, so that the log stays short."""

from __future__ import annotations

from rtstt_lab.protocol.events import HoleDeclared
from rtstt_lab.protocol.timing import TokenBucket

_AT_ONCE = 20
_PER_S = 1 / 15


class Losses:
    """Holes that the client did not give up itself, until they are told."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, int, str]] = []
        self._pace: TokenBucket | None = None
        self._streams: set[int] = set()

    def add(self, hole: HoleDeclared) -> bool:
        """Notes a hole.

        Returns:
            Whether it is the first of a recorder whose audio cannot be read at all.
        """
        if hole.reason in ("given_up", "disposed"):
            return False
        if self._runs and self._runs[-1][1:] == (hole.seq - 1, hole.reason):
            self._runs[-1] = (self._runs[-1][0], hole.seq, hole.reason)
        else:
            self._runs.append((hole.seq, hole.seq, hole.reason))
        news = hole.reason == "unreadable" and hole.stream not in self._streams
        if news:
            self._streams.add(hole.stream)
        return news

    def take(self, now: float, *, everything: bool = False) -> list[tuple[int, int, str]]:
        """The runs (first, last, reason) that are to be told now; with ``everything``, all of them."""
        self._pace = self._pace or TokenBucket(_PER_S, _AT_ONCE, now)
        if not self._runs or not (everything or self._pace.take(now)):
            return []
        runs, self._runs = self._runs, []
        return runs

    def deadline(self) -> float | None:
        """When there is something to take."""
        return self._pace.ready_at() if self._runs and self._pace else None

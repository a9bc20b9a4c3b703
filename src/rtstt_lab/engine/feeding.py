"""The session's queue, and the one chunk of it that is being decoded: in order, never dropped."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rtstt_lab.engine.effects import FeedAudio, FeedHole


@dataclass(frozen=True, slots=True)
class Settle:
    """Between two chunks: everything before is to become final; with ``finish`` nothing comes after."""

    kind: Literal["settle", "finish"]


Feed: TypeAlias = FeedAudio | FeedHole


class Feeding:
    """Chunks, holes and the ends between them. Its bound is kept by credit: what is in it was asked for."""

    def __init__(self) -> None:
        self._items: deque[Feed | Settle] = deque()
        self._waiting_ms = 0
        self._current: Feed | None = None
        self._retried = False

    @property
    def waiting_s(self) -> float:
        """Audio that came in and is not with the recognizer yet."""
        return self._waiting_ms / 1000

    @property
    def current(self) -> Feed | None:
        """What is being decoded now."""
        return self._current

    @property
    def empty(self) -> bool:
        """Nothing waits, and nothing is being decoded."""
        return not self._items and self._current is None

    @property
    def at_settle(self) -> bool:
        """Everything before a `Settle` is fed, or being fed."""
        return bool(self._items) and isinstance(self._items[0], Settle)

    def put(self, item: Feed | Settle) -> None:
        """Appends to the queue."""
        self._items.append(item)
        if not isinstance(item, Settle):
            self._waiting_ms += item.duration_ms

    def next_feed(self) -> Feed | None:
        """Begins the next chunk, if none is being decoded and no `Settle` is in the way."""
        if self._current is not None or not self._items:
            return None
        item = self._items[0]
        if isinstance(item, Settle):
            return None
        self._items.popleft()
        self._current, self._retried = item, False
        return item

    def next_settle(self) -> Settle | None:
        """Takes a `Settle` that everything before has been fed of."""
        if self._current is None and self._items and isinstance(self._items[0], Settle):
            item = self._items.popleft()
            return item if isinstance(item, Settle) else None
        return None

    def fed(self, seq: int) -> bool:
        """The chunk is with the recognizer; false if it is not the one that was being decoded."""
        if self._current is None or not self.awaits(seq):
            return False
        self._waiting_ms -= self._current.duration_ms
        self._current = None
        return True

    def awaits(self, seq: int) -> bool:
        """Whether this chunk or hole is being decoded."""
        return self._current is not None and self._current.seq == seq

    def failed(self, seq: int) -> Feed | None:
        """What to do about a chunk that could not be decoded: the same again, then its hole.

        Returns:
            What to feed; ``None`` for a hole, which nothing can replace, or if nothing was waited for.
        """
        current = self._current
        if not isinstance(current, FeedAudio) or current.seq != seq:
            return None
        if not self._retried:
            self._retried = True
            return current
        self._current = FeedHole(seq, current.duration_ms)
        return self._current

    def clear(self) -> None:
        """Drops everything: the session ends without it."""
        self._items.clear()
        self._current = None
        self._waiting_ms = 0

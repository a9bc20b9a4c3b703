"""How far the audio is disposed of, told in chunks: the commit mark and the place to resume from (rule 2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from rtstt_lab.engine.resumption import Mark, Restart
from rtstt_lab.types import SAMPLE_RATE_HZ

_ROUNDING_S: Final = 0.5 / SAMPLE_RATE_HZ
_MOST_BEHIND: Final = 128
"""Chunks, twice what the context needs of the shortest: those of no length are held and journalled, too."""


@dataclass(slots=True)
class _Chunk:
    seq: int
    end_s: float | None = None


class CommitMarks:
    """Holds each chunk's end on the audio clock against the time up to which everything is settled.

    A chunk's end is known when all its audio has come out of the decoder: of PCM at once, of a container some
    chunks later. Both marks only ever grow. The place to resume from stays behind what is settled, so that a
    recognizer that starts there hears new words in their context, but not by any number of chunks.

    Args:
        context_s: by so much.
        mark: where they stand, of a session that is taken up again.
    """

    def __init__(self, context_s: float = 0.0, mark: Mark | None = None) -> None:
        mark = mark or Mark()
        self.committed_seq = mark.committed_seq
        self.resume = mark.resume
        self._context_s = context_s
        self._chunks: deque[_Chunk] = deque()
        self._restarts: deque[tuple[int, Restart]] = deque()

    def fed(self, seq: int) -> None:
        """Chunk ``seq`` is in the decoder, or it is a hole; numbers come in order without gaps."""
        self._chunks.append(_Chunk(seq))

    def complete(self, before_seq: int, samples: int) -> None:
        """All audio of the chunks below ``before_seq`` lies within the first ``samples``."""
        for chunk in self._chunks:
            if chunk.seq >= before_seq:
                break
            if chunk.end_s is None:
                chunk.end_s = samples / SAMPLE_RATE_HZ

    def restart(self, after_seq: int, restart: Restart) -> None:
        """When ``after_seq`` is committed a fresh decoder can start there."""
        self._restarts.append((after_seq, restart))

    def settle(self, settled_s: float) -> bool:
        """Moves the marks; says whether one of them moved."""
        before = self.committed_seq, self.resume
        while self._chunks:
            end_s = self._chunks[0].end_s
            if end_s is None or end_s > settled_s + _ROUNDING_S:
                break
            self.committed_seq = max(self.committed_seq, self._chunks.popleft().seq + 1)
        while self._restarts and self._may_resume(*self._restarts[0], settled_s):
            _, self.resume = self._restarts.popleft()
        return (self.committed_seq, self.resume) != before

    def _may_resume(self, after_seq: int, restart: Restart, settled_s: float) -> bool:
        if after_seq >= self.committed_seq:
            return False
        behind = restart.at_s <= settled_s - self._context_s + _ROUNDING_S
        return behind or restart.seq < self.committed_seq - _MOST_BEHIND

"""Latency as the client sees it (M1): from a chunk's sending to the first result that covers its end.

A chunk counts as speech once a word of any result overlaps it; the others are kept apart. A chunk that the
server says it heard, without a result, is silence and waits for nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rtstt_lab.protocol.messages import LatencyFigures
from rtstt_lab.protocol.timing import to_ms


@dataclass(slots=True)
class ChunkTimes:
    """One chunk's way, on the client's clock.

    Attributes:
        seq: its number.
        duration_ms: of its audio.
        end_ms: its end on the session's audio clock.
        sent_s: when it was first sent.
        covered_s: when the first partial or final arrived that reaches its end.
        speech: whether a word overlaps it.
    """

    seq: int
    duration_ms: int
    end_ms: int
    sent_s: float
    covered_s: float | None = None
    speech: bool = False


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``ordered`` (ascending, not empty) do not exceed."""
    rank = -(-len(ordered) * round(share * 100) // 100)
    return ordered[max(rank, 1) - 1]


class LatencyTracker:
    """Follows every chunk from its sending to its first result."""

    def __init__(self) -> None:
        self.chunks: list[ChunkTimes] = []
        self._ends_ms: list[int] = []
        self._covered = 0
        self._heard = 0
        self._latest_s = 0.0

    def sent(self, seq: int, *, duration_ms: int, end_ms: int, now: float) -> None:
        """A chunk goes out for the first time; numbers ascend."""
        if not self.chunks or seq > self.chunks[-1].seq:
            self.chunks.append(ChunkTimes(seq, duration_ms, end_ms, now))
            self._ends_ms.append(end_ms)

    def result(self, audio_end_ms: int, words_ms: Iterable[tuple[int, int]], now: float) -> None:
        """A partial or final arrived.

        Args:
            audio_end_ms: the newest audio that was heard for it.
            words_ms: start and end of its words, on the audio clock.
            now: of its arrival.
        """
        for start_ms, end_ms in words_ms:
            for index in range(bisect_right(self._ends_ms, start_ms), len(self.chunks)):
                chunk = self.chunks[index]
                if chunk.end_ms - chunk.duration_ms >= end_ms:
                    break
                chunk.speech = True
        first = self._covered
        self._covered = max(first, bisect_right(self._ends_ms, audio_end_ms))
        newly = self.chunks[first : self._covered]
        for chunk in newly:
            chunk.covered_s = now
        self._latest_s = max((now - chunk.sent_s for chunk in newly if chunk.speech), default=self._latest_s)
        self._heard = max(self._heard, self._covered)

    def heard(self, heard_ms: int) -> None:
        """The server has listened up to here, with or without a result."""
        self._heard = max(self._heard, bisect_right(self._ends_ms, heard_ms))

    def current_s(self, now: float) -> float:
        """Latency now: of the newest speech, or the age of the oldest chunk not yet listened to."""
        waiting_s = now - self.chunks[self._heard].sent_s if self._heard < len(self.chunks) else 0.0
        return max(self._latest_s, waiting_s)

    def finish(self, now: float) -> None:
        """The session is over: speech that no result covered has waited until now."""
        for chunk in self.chunks[self._covered :]:
            if chunk.speech:
                chunk.covered_s = now
        self._covered = self._heard = len(self.chunks)

    def figures(self) -> LatencyFigures | None:
        """Over the covered chunks of speech so far; ``None`` before the first one."""
        latencies_s = sorted(
            chunk.covered_s - chunk.sent_s
            for chunk in self.chunks
            if chunk.speech and chunk.covered_s is not None
        )
        if not latencies_s:
            return None
        return LatencyFigures(
            n=len(latencies_s),
            mean_ms=to_ms(sum(latencies_s) / len(latencies_s)),
            p50_ms=to_ms(nearest_rank(latencies_s, 0.5)),
            p95_ms=to_ms(nearest_rank(latencies_s, 0.95)),
        )

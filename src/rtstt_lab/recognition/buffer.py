"""The audio that may still be needed."""

from __future__ import annotations

import numpy as np

from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


class AudioBuffer:
    """The audio that may still be decoded, addressed by time; amortised O(1) a sample."""

    def __init__(self, start_s: float) -> None:
        self._origin = round(start_s * SAMPLE_RATE_HZ)
        self._samples = np.zeros(SAMPLE_RATE_HZ, np.float32)
        self._size = 0

    @property
    def start_s(self) -> float:
        """Time of the oldest sample that is kept."""
        return self._origin / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        """Time of the newest sample."""
        return (self._origin + self._size) / SAMPLE_RATE_HZ

    def append(self, samples: Samples) -> None:
        """Takes samples in, shape ``(n,)``."""
        needed = self._size + len(samples)
        if needed > len(self._samples):
            grown = np.zeros(max(needed, 2 * len(self._samples)), np.float32)
            grown[: self._size] = self._samples[: self._size]
            self._samples = grown
        self._samples[self._size : needed] = samples
        self._size = needed

    def between(self, start_s: float, end_s: float) -> Samples:
        """A copy of what is kept of that time."""
        first, last = (round(t * SAMPLE_RATE_HZ) - self._origin for t in (start_s, end_s))
        return self._samples[max(0, first) : min(self._size, last)].copy()

    def drop_before(self, time_s: float) -> None:
        """Forgets what is older, once that is at least half of the memory in use."""
        gone = min(round(time_s * SAMPLE_RATE_HZ) - self._origin, self._size)
        if gone < len(self._samples) // 2:
            return
        self._samples = np.concatenate(
            (self._samples[gone : self._size], np.zeros(SAMPLE_RATE_HZ, np.float32))
        )
        self._origin += gone
        self._size -= gone

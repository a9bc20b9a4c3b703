"""A container's times held against what has come out of it: where silence belongs, and how much."""

from __future__ import annotations

from typing import Final

from rtstt_lab.audio.reader import Block
from rtstt_lab.types import SAMPLE_RATE_HZ

_ANEW_S: Final = 0.5
"""A step back as large as this is a recording that begins anew; a smaller one is audio that came twice."""
_CAPTURE_SLACK_S: Final = 1.0
LONGEST_GAP_S: Final = 600.0
"""More silence at once would cost its memory, and no recorder sleeps for so long and goes on."""


class Timeline:
    """Compares each block's time with the end of the last, and says how much silence belongs between."""

    def __init__(self, least_gap_s: float) -> None:
        self.owed_s = 0.0
        self.next_s: float | None = None
        self._least_gap_s = least_gap_s
        self._repeats = False
        self._exactly = False
        self._captured: tuple[float, int] | None = None
        self._allowed_until = 0

    def bound(self, captured_end_s: float | None, samples: int) -> None:
        """Takes note of the recorder's clock: the samples can't outrun it by more than a second."""
        if captured_end_s is None:
            return
        if self._captured is None:
            self._captured = captured_end_s, samples
        first_s, at_sample = self._captured
        elapsed_s = captured_end_s - first_s + _CAPTURE_SLACK_S
        self._allowed_until = at_sample + round(elapsed_s * SAMPLE_RATE_HZ)

    def begin(self, at_s: float) -> None:
        """The first sample lies at this time of the container; what comes first is put where it belongs."""
        self.next_s = at_s
        self._exactly = True

    def reopened(self, *, same_clock: bool) -> None:
        """A fresh reader begins; on the same container clock it may repeat what has already come out."""
        self._repeats = same_clock
        if not same_clock:
            self.next_s = None
            self._exactly = False

    def gap_before(self, block: Block, samples: int) -> float | None:
        """Silence in seconds before this block, or minus what has come out of it; ``None`` if all has."""
        if block.start_s is None:
            return 0.0
        end_s, expected_s = block.start_s + block.duration_s, self.next_s
        if self._repeats and expected_s is not None and end_s <= expected_s + self._least_gap_s / 2:
            return None
        self._repeats = False
        self.next_s = end_s
        if self._exactly and expected_s is not None:
            self._exactly, self._captured = False, None
            return min(block.start_s - expected_s, LONGEST_GAP_S)
        step_s = 0.0 if expected_s is None else block.start_s - expected_s
        begins_anew = expected_s is None or step_s < -_ANEW_S
        if not begins_anew and step_s <= self._least_gap_s:
            return step_s if step_s < -self._least_gap_s else 0.0
        gap_s = self.owed_s if begins_anew else min(step_s, self._longest_s(samples), LONGEST_GAP_S)
        self.owed_s = 0.0
        return gap_s

    def _longest_s(self, samples: int) -> float:
        by_clock_s = (self._allowed_until - samples) / SAMPLE_RATE_HZ if self._captured else float("inf")
        return max(self.owed_s + _CAPTURE_SLACK_S, by_clock_s)

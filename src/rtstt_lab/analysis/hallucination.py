"""Words that nobody said: repetition loops, and what is heard where nothing is spoken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_LOOP: Final = 24
"""Words in the longest pattern that is looked for."""


def repetition_loops(words: Sequence[str]) -> int:
    """How often a text goes round: n words that follow themselves at least twice more, over at least 8 words.

    So "no, no, no" is speech, and a sentence said three times over is a loop; n is at most `LONGEST_LOOP`.

    Args:
        words: normalised, since a loop may change its punctuation.
    """
    count = start = 0
    while start < len(words):
        end = _loop_end(words, start)
        count += end is not None
        start = start + 1 if end is None else end
    return count


def _loop_end(words: Sequence[str], start: int) -> int | None:
    for length in range(1, min(LONGEST_LOOP, (len(words) - start) // 3) + 1):
        pattern = words[start : start + length]
        end = start + length
        while words[end : end + length] == pattern:
            end += length
        if end - start >= max(3 * length, 8):
            return end
    return None

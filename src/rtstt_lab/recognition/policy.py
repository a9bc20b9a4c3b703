"""Which words of a hypothesis may be promised: pure functions of the hypotheses so far.

LocalAgreement-n: Liu et al. 2020, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial
Hypothesis Selection". Waiting for words near the edge of the window is AlignAtt's idea (Papi et al. 2023), applied after
the decode to the aligned times of the words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rtstt_lab.types import Word

_SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """When a word is promised.

    Attributes:
        agreeing: as many of the newest hypotheses have to say it (LocalAgreement-n).
        hold_s: it ends at least so long before the newest audio;
        unsure_hold_s: this long, if its probability is under
        sure_probability: this.
    """

    agreeing: int = 2
    hold_s: float = 0.5
    unsure_hold_s: float = 1.2
    sure_probability: float = 0.5

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """How many leading words of the newest tail can be promised.

        Args:
            tails: the words after the committed ones, of each hypothesis, oldest first.
            edge_s: the newest audio that the newest hypothesis heard; ``inf`` when nothing more can change it.
        """
        if not tails or len(tails) < self.agreeing:
            return 0
        agreed = common_prefix(tails[-self.agreeing :])
        for index, word in enumerate(tails[-1][:agreed]):
            hold_s = self.hold_s if word.probability >= self.sure_probability else self.unsure_hold_s
            if word.end_s > edge_s - hold_s:
                return index
        return agreed


def normalized(text: str) -> str:
    """A word without case, space and punctuation: what two hypotheses are compared by."""
    return "".join(c for c in text.casefold() if unicodedata.category(c)[0] not in "PSZ") or text.strip()


def common_prefix(tails: Sequence[Sequence[Word]]) -> int:
    """How many leading words all of these have in common."""
    count = 0
    for words in zip(*tails, strict=False):
        if len({normalized(word.text) for word in words}) > 1:
            break
        count += 1
    return count


def continuation(committed: Sequence[Word], words: Sequence[Word], *, slack_s: float = 0.3) -> int:
    """Where a hypothesis goes on from what is committed already.

    The hypothesis covers the committed words once more, perhaps in other words. The cut is put where the characters
    before it are nearest to the committed text by edit distance, and where its time is nearest to the end of the
    last committed word: a repeated word is not taken for its first occurrence, and nothing is said twice.

    Args:
        committed: the committed words within the window.
        words: the hypothesis of that window.
        slack_s: a difference in time that weighs as much as one character.

    Returns:
        The index of the first new word; ``len(words)`` if there is none.
    """
    if not committed:
        return 0
    end_s = committed[-1].end_s
    target = "".join(normalized(word.text) for word in committed)
    row = list(range(len(target) + 1))
    best, best_cost = 0, row[-1] + (abs(words[0].start_s - end_s) / slack_s if words else 0.0)
    for index, word in enumerate(words):
        for character in normalized(word.text):
            row = _next_row(row, target, character)
        following_s = words[index + 1].start_s if index + 1 < len(words) else word.end_s
        off_s = max(word.end_s - end_s, end_s - following_s, 0.0)
        cost = row[-1] + off_s / slack_s
        if cost <= best_cost:
            best, best_cost = index + 1, cost
    return best


def _next_row(row: list[int], target: str, character: str) -> list[int]:
    """One row of Levenshtein's table."""
    fresh = [row[0] + 1]
    for column, expected in enumerate(target):
        fresh.append(min(row[column] + (expected != character), row[column + 1] + 1, fresh[column] + 1))
    return fresh


def sentence_end(words: Sequence[Word], *, min_words: int = 3) -> int:
    """How many leading words make whole sentences; 0 if none is complete."""
    for count in range(len(words), min_words - 1, -1):
        if words[count - 1].text.rstrip("\"'”»)").endswith(_SENTENCE_ENDS):
            return count
    return 0


def cut(words: Sequence[Word], *, before_s: float) -> float | None:
    """Where a window may begin anew: a boundary between two committed words, at the latest ``before_s``.

    Of the boundaries in the last three seconds before the limit the one with the longest gap wins, the end of a
    sentence counting as a quarter of a second more.

    Returns:
        The time; ``None`` if no boundary lies before the limit.
    """
    candidates = []
    for word, following in zip(words, words[1:], strict=False):
        if following.start_s <= before_s:
            gap_s = following.start_s - word.end_s
            bonus_s = 0.25 if word.text.endswith(_SENTENCE_ENDS) else 0.0
            candidates.append((following.start_s, gap_s + bonus_s, word.end_s))
    if not candidates:
        return None
    latest_s = candidates[-1][0]
    start_s, _, end_s = max((c for c in candidates if c[0] >= latest_s - 3.0), key=lambda c: (c[1], c[0]))
    return (start_s + end_s) / 2

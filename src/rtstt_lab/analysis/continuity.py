"""Words that a disturbed session lacks or has twice, against undisturbed sessions of the same recording.

Sessions are aligned word by word, by the least number of edits under a constraint of time, so that a repeated
phrase is not taken for its other occurrence. What is only heard otherwise (a substitution) is neither missing
nor repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rtstt_lab.emissions import word_key
from rtstt_lab.types import Word

SHORTEST: Final = 2
"""Words; a single one more or less is within what two decodes of the same audio differ in."""
WITHIN_S: Final = 2.0
"""Words whose starts and whose ends are both further apart are not counterparts. One of the two may well be:
alignment draws the beginning of a word into the pause before it."""
_NEARBY_WORDS: Final = 12
_PER_SECOND: Final = 0.01
"""Cost of a second between counterparts: decides between alignments of equally many edits."""
_LEFT: Final = 1
_RIGHT: Final = 2

Pairs = list[tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive words of one session.

    Attributes:
        words: at least `SHORTEST`.
    """

    words: tuple[Word, ...]

    @property
    def start_s(self) -> float:
        """Of the first word, on the audio clock."""
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        """Of the last word."""
        return self.words[-1].end_s

    def __str__(self) -> str:
        return "".join(word.text for word in self.words).strip()


def align(left: Sequence[Word], right: Sequence[Word], within_s: float = WITHIN_S) -> Pairs:
    """Pairs two sequences word by word: equal, heard otherwise, or on one side only.

    Levenshtein's distance over words without case and punctuation, where only words whose starts or ends are
    at most ``within_s`` apart can be counterparts; of alignments of equal distance, the nearest in time.

    Args:
        left: in the order of time.
        right: in the order of time.
        within_s: bound on the distance of counterparts.

    Returns:
        Index pairs in order; ``None`` where a word has no counterpart.
    """
    keys = [[word_key(word.text) for word in words] for words in (left, right)]
    rows, columns = len(left) + 1, len(right) + 1
    cost = [[float(i + j) for j in range(columns)] for i in range(rows)]
    step = [[_LEFT if i else _RIGHT for _ in range(columns)] for i in range(rows)]
    for i in range(1, rows):
        for j in range(1, columns):
            apart_s = _apart_s(left[i - 1], right[j - 1])
            other = float(keys[0][i - 1] != keys[1][j - 1])
            both = other + _PER_SECOND * apart_s if apart_s <= within_s else math.inf
            choices = (cost[i - 1][j - 1] + both, cost[i - 1][j] + 1, cost[i][j - 1] + 1)
            step[i][j] = best = min(range(3), key=choices.__getitem__)
            cost[i][j] = choices[best]
    pairs: Pairs = []
    i, j = rows - 1, columns - 1
    while i or j:
        on_left, on_right = step[i][j] != _RIGHT, step[i][j] != _LEFT
        i, j = i - int(on_left), j - int(on_right)
        pairs.append((i if on_left else None, j if on_right else None))
    return pairs[::-1]


def _apart_s(one: Word, other: Word) -> float:
    return min(abs(one.start_s - other.start_s), abs(one.end_s - other.end_s))


def agreed(sessions: Sequence[Sequence[Word]]) -> list[Word]:
    """The words that at least two sessions have at the same place, in the order of time.

    Args:
        sessions: undisturbed ones of one recording, each in the order of time.
    """
    words: list[Word] = []
    for index, session in enumerate(sessions):
        others = [other for number, other in enumerate(sessions) if number != index]
        supported = set().union(*(_equal(session, other) for other in others))
        known = _equal(session, words)
        words = sorted(
            [*words, *(session[i] for i in sorted(supported - known))], key=lambda word: word.start_s
        )
    return words


def missing(expected: Sequence[Word], heard: Sequence[Word]) -> list[Stretch]:
    """Stretches of ``expected`` that have no counterparts in ``heard``, not even wrong ones."""
    lone = [i if j is None else None for i, j in align(expected, heard)]
    return list(_stretches(lone, expected))


def added(expected: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Stretch, bool]]:
    """Stretches of ``heard`` that have no counterparts in ``expected``.

    Returns:
        Each with whether it is a repetition: the same words stand right before or after it, within
        a dozen words.
    """
    lone = [j if i is None else None for i, j in align(expected, heard)]
    places = {id(word): index for index, word in enumerate(heard)}
    keys = [word_key(word.text) for word in heard]
    stretches = []
    for stretch in _stretches(lone, heard):
        first, count = places[id(stretch.words[0])], len(stretch.words)
        before = keys[max(0, first - _NEARBY_WORDS) : first]
        after = keys[first + count : first + count + _NEARBY_WORDS]
        own = keys[first : first + count]
        stretches.append((stretch, _contains(before, own) or _contains(after, own)))
    return stretches


def _equal(left: Sequence[Word], right: Sequence[Word]) -> set[int]:
    """Indices of the words of ``left`` that have an equal counterpart."""
    return {
        i
        for i, j in align(left, right)
        if i is not None and j is not None and word_key(left[i].text) == word_key(right[j].text)
    }


def _stretches(lone: Sequence[int | None], words: Sequence[Word]) -> Iterator[Stretch]:
    for alone, group in groupby(lone, key=lambda index: index is not None):
        indices = [index for index in group if index is not None]
        if alone and len(indices) >= SHORTEST:
            yield Stretch(tuple(words[index] for index in indices))


def _contains(words: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1))

"""How a hypothesis goes on from what is promised already, and where sentences and windows may end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise, takewhile
from typing import Final as Constant

from rtstt_lab.emissions import word_key
from rtstt_lab.types import Hypothesis, Word

_SENTENCE_ENDS: Constant = (".", "?", "!", "。", "？", "！", "…")
_SKIP: Constant = (
    0.6  # a word that only one side has: dearer than half of a pair that agrees in time or in spelling
)
_SAME_TIME_S: Constant = 0.5  # words further apart than this are different ones
_MOST_LETTERS_PER_S: Constant = 80.0  # three times what anybody says; alignment is that rough
_LEAST_LETTERS: Constant = 6


def continuation(committed: Sequence[Word], words: Sequence[Word]) -> int:
    """Where a hypothesis goes on from what is committed already.

    The hypothesis covers the committed words once more, perhaps in other words. All committed words are
    aligned to each beginning of the hypothesis by edit distance, where a pair costs half its difference in
    spelling and half its difference in time; the beginning that costs least is what was committed. So a
    repeated phrase is not taken for its first occurrence, other words at the same time are not said twice,
    and words that the hypothesis no longer has cost it nothing.

    Args:
        committed: the committed words within the window.
        words: the hypothesis of that window.

    Returns:
        The index of the first new word; ``len(words)`` if there is none.
    """
    if not committed:
        return 0
    end_s = committed[-1].end_s
    row = [_SKIP * count for count in range(len(committed) + 1)]
    best, best_cost = 0, row[-1] + (_boundary_cost(end_s, -math.inf, words[0].start_s) if words else 0.0)
    for index, word in enumerate(words):
        fresh = [row[0] + _SKIP]
        for column, expected in enumerate(committed):
            paired = row[column] + _pair_cost(expected, word)
            fresh.append(min(paired, row[column + 1] + _SKIP, fresh[column] + _SKIP))
        row = fresh
        following_s = words[index + 1].start_s if index + 1 < len(words) else math.inf
        # The last word may have been cut by the edge of its window: then it ends later than was known.
        same = word_key(word.text) == word_key(committed[-1].text)
        cost = row[-1] + _boundary_cost(end_s, word.start_s if same else word.end_s, following_s)
        if cost <= best_cost:
            best, best_cost = index + 1, cost
    return best


def following(
    committed: Sequence[Word], hypothesis: Hypothesis, speech_from_s: float = 0.0
) -> tuple[Word, ...]:
    """The words after the committed ones; their times never run back behind those, or behind the speech."""
    earliest_s = max(committed[-1].end_s if committed else hypothesis.start_s, speech_from_s)
    words = []
    heard = spoken(hypothesis.words)
    for word in heard[continuation(committed, heard) :]:
        start_s = min(max(word.start_s, earliest_s), hypothesis.end_s)
        end_s = min(max(word.end_s, start_s), hypothesis.end_s)
        words.append(replace(word, start_s=start_s, end_s=end_s))
        earliest_s = start_s
    return tuple(words)


def spoken(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words of a hypothesis without those that repeat others and have no time of their own.

    A model that has lost its place says again what it said before, and alignment finds no audio for that. So
    times decide between two equal runs of words: one of two or more words that stands before it, in the same
    order, was said only if it took time.

    Args:
        words: of one window.
    """
    kept: list[Word] = []
    at = 0
    while at < len(words):
        repeated = _repeated(kept, words[at:])
        while repeated > 1 and not _crammed(words[at : at + repeated]):
            repeated -= 1
        if repeated > 1:
            at += repeated
        else:
            kept.append(words[at])
            at += 1
    return tuple(kept)


def _repeated(kept: Sequence[Word], words: Sequence[Word]) -> int:
    """How many of the words, from the first on, stand somewhere before in the same order."""
    before = [word_key(word.text) for word in kept]
    keys = [word_key(word.text) for word in words]
    return max(
        (sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before[at:], keys, strict=False))))
        for at in range(len(before) + 1)
    )


def _crammed(words: Sequence[Word]) -> bool:
    """Whether nobody can have said them in their time; of short words alignment knows too little."""
    letters = sum(len(word_key(word.text)) for word in words)
    return letters >= _LEAST_LETTERS and words[-1].end_s - words[0].start_s <= letters / _MOST_LETTERS_PER_S


def _pair_cost(expected: Word, word: Word) -> float:
    """Half for the spelling, half for the time; 1 for words that have nothing to do with each other."""
    apart_s = abs(expected.start_s + expected.end_s - word.start_s - word.end_s) / 2
    ours, theirs = word_key(expected.text), word_key(word.text)
    if ours == theirs:
        unlike = 0.0
    elif apart_s > 2 * _SAME_TIME_S:
        unlike = 1.0
    else:
        unlike = 1.0 - SequenceMatcher(None, ours, theirs, autojunk=False).ratio()
    return (unlike + min(1.0, apart_s / _SAME_TIME_S)) / 2


def _boundary_cost(end_s: float, before_s: float, after_s: float) -> float:
    """For a cut whose neighbours lie on the wrong side of the end of what is committed."""
    return max(before_s - end_s, end_s - after_s, 0.0) / _SAME_TIME_S


def sentence_end(words: Sequence[Word], *, min_words: int = 3) -> int:
    """How many leading words make whole sentences; 0 if none is complete."""
    for count in range(len(words), min_words - 1, -1):
        if words[count - 1].text.rstrip("\"'”»)").endswith(_SENTENCE_ENDS):
            return count
    return 0


def cut(words: Sequence[Word], *, before_s: float) -> float | None:
    """Where a window may begin anew: a boundary between two committed words, at the latest ``before_s``.

    Of the boundaries in the last three seconds before the limit the one with the longest gap wins, the end
    of a sentence counting as a quarter of a second more.

    Returns:
        The time; ``None`` if no boundary lies before the limit.
    """
    candidates = []
    for word, following in pairwise(words):
        if following.start_s <= before_s:
            gap_s = following.start_s - word.end_s
            bonus_s = 0.25 if word.text.endswith(_SENTENCE_ENDS) else 0.0
            candidates.append((following.start_s, gap_s + bonus_s, word.end_s))
    if not candidates:
        return None
    latest_s = candidates[-1][0]
    start_s, _, end_s = max((c for c in candidates if c[0] >= latest_s - 3.0), key=lambda c: (c[1], c[0]))
    return (start_s + end_s) / 2

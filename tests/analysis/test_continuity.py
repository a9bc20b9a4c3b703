"""Missing and repeated words, by hand."""

from __future__ import annotations

import pytest

from rtstt_lab.analysis.continuity import Stretch, added, agreed, align, missing
from rtstt_lab.types import Word

TALE = "it was the best of times it was the worst of times it was the age of wisdom"


def said(text: str, start_s: float = 0.0) -> list[Word]:
    """Two words a second."""
    return [
        Word(f" {word}", start_s + i / 2, start_s + i / 2 + 0.4, 0.9) for i, word in enumerate(text.split())
    ]


def without(words: list[Word], first: int, count: int) -> list[Word]:
    return words[:first] + words[first + count :]


def test_nothing_is_missing_from_the_same_words() -> None:
    """Case, punctuation and times that differ a little make no difference."""
    heard = [Word(word.text.upper() + ",", word.start_s + 0.3, word.end_s + 0.3, 0.5) for word in said(TALE)]
    assert missing(said(TALE), heard) == []
    assert added(said(TALE), heard) == []
    assert align(said(TALE), heard) == [(i, i) for i in range(len(heard))]


def test_a_repeated_phrase_is_missed_where_it_is_missing() -> None:
    """The second “it was the” is gone, not the first or the third."""
    (stretch,) = missing(said(TALE), without(said(TALE), 6, 3))
    assert str(stretch) == "it was the"
    assert (stretch.start_s, stretch.end_s) == pytest.approx((3.0, 4.4))


def test_one_word_or_a_word_heard_otherwise_is_not_counted() -> None:
    """Two wrong words have counterparts; one missing word is within what decodes differ in."""
    wrong = said(TALE.replace("worst of", "first off"))
    assert missing(said(TALE), wrong) == []
    assert added(said(TALE), wrong) == []
    assert missing(said(TALE), without(said(TALE), 4, 1)) == []


def test_a_beginning_that_was_drawn_into_the_pause_before_makes_no_word_missing() -> None:
    """“We were” as a “we're” that begins seconds early and ends where it should is heard otherwise."""
    words = said("before us we were all going", start_s=10.0)
    drawn = [*words[:2], Word(" We're", words[2].start_s - 2.5, words[3].end_s, 0.4), *words[4:]]
    assert missing(words, drawn) == []
    assert added(words, drawn) == []


def test_what_is_said_twice_is_told_from_what_nobody_said() -> None:
    """Words that stand beside their like are a repetition; others are not."""
    words = said(TALE)
    twice = [*words[:6], *(Word(w.text, w.start_s + 1.4, w.end_s + 1.4, 0.9) for w in words[3:6]), *words[6:]]
    ((stretch, repeated),) = added(words, twice)
    assert (len(stretch.words), repeated) == (3, True)
    invented = [*words[:6], Word(" thank", 2.9, 2.92, 0.3), Word(" you", 2.93, 2.95, 0.3), *words[6:]]
    assert added(words, invented) == [(Stretch(tuple(invented[6:8])), False)]


def test_two_of_three_agree() -> None:
    """A word counts if two sessions have it, whichever they are."""
    words = said(TALE)
    sessions = [without(words, 0, 2), without(words, 5, 2), without(words, 5, 3)]
    assert agreed(sessions) == without(words, 5, 2)
    assert missing(agreed(sessions), words[3:]) == [Stretch(tuple(words[:3]))]
    assert agreed([words]) == []
    assert missing([], words) == []

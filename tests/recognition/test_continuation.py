from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.recognition.continuation import continuation, cut, sentence_end
from rtstt_lab.types import Word


def words(text: str, *, start_s: float = 0.0, probability: float = 0.9) -> tuple[Word, ...]:
    """A word every 0.4 s, each 0.3 s long."""
    return tuple(
        Word(f" {word}", start_s + 0.4 * i, start_s + 0.4 * i + 0.3, probability)
        for i, word in enumerate(text.split())
    )


sentences = st.lists(st.sampled_from(["a", "b", "c", "día", "No.", "no", "uno"]), max_size=8).map(" ".join)


@given(sentences, sentences)
@settings(deadline=None, max_examples=200)
def test_an_exact_repetition_of_the_committed_words_is_cut_off(before: str, after: str) -> None:
    """When a hypothesis says the committed words again, the new ones start right after them."""
    committed = words(before)
    both = committed + words(after, start_s=0.4 * len(committed))
    assert continuation(committed, both) == len(committed)


@given(sentences, sentences)
@settings(deadline=None, max_examples=200)
def test_the_continuation_is_a_place_in_the_hypothesis(committed: str, heard: str) -> None:
    """Whatever was heard, the cut lies within the hypothesis."""
    assert 0 <= continuation(words(committed), words(heard)) <= len(heard.split())


def test_a_repeated_phrase_is_not_taken_for_its_first_occurrence() -> None:
    """Time tells a phrase said twice from the one that was committed."""
    committed = words("it was the best of times")
    heard = words("it was the best of times it was the best of times")
    assert continuation(committed, heard) == 6


def test_other_words_at_the_same_place_are_not_said_again() -> None:
    """A later hypothesis that hears the committed words otherwise adds only what comes after them."""
    committed = words("la harina son blancas")
    heard = words("las arenas son blanquecinas de grano")
    assert continuation(committed, heard) == 4
    merged = (Word(" today", 0.0, 0.7, 0.9), *words("we go", start_s=0.8))
    assert continuation(words("to day"), merged) == 1


def test_committed_words_that_are_missing_later_lose_nothing() -> None:
    """When the hypothesis begins after what was committed, all of it is new."""
    assert continuation(words("uno dos tres"), words("cuatro cinco", start_s=1.3)) == 0
    assert continuation((), words("uno")) == 0


def test_a_sentence_ends_at_its_mark() -> None:
    """The last mark that ends a sentence counts, in quotes too; one after one or two words does not."""
    assert sentence_end(words("Era la mejor. Era")) == 3
    assert sentence_end(words('He said "go on!" and')) == 4
    assert sentence_end(words("No. Sí.")) == 0
    assert sentence_end(words("sin fin alguno")) == 0


def test_a_window_is_cut_in_the_longest_gap_before_the_limit() -> None:
    """The cut lies between two words, in the longest gap of the last seconds before the limit."""
    spoken = (*words("a b c d"), *words("e f", start_s=2.0), *words("g h", start_s=2.8))
    assert cut(spoken, before_s=3.0) == pytest.approx((spoken[3].end_s + 2.0) / 2)
    assert cut(spoken, before_s=0.2) is None
    assert cut((), before_s=9.0) is None

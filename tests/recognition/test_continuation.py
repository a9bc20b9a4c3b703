from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import word_key
from rtstt_lab.recognition.continuation import continuation, cut, following, sentence_end, spoken
from rtstt_lab.types import Hypothesis, Word


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


@given(sentences, st.integers(0, 7), st.integers(2, 6))
@settings(deadline=None, max_examples=200)
def test_times_decide_between_two_equal_runs_of_words(text: str, first: int, count: int) -> None:
    """What repeats other words was said if it took time, and was not if it took none."""
    said = words(text)
    again = said[first : first + count]
    end_s = said[-1].end_s if said else 0.0
    in_no_time = tuple(Word(word.text, end_s, end_s, 0.9) for word in again)
    assert spoken(said) == said
    assert spoken((*said, *words("".join(w.text for w in again), start_s=end_s))) == (
        *said,
        *words("".join(w.text for w in again), start_s=end_s),
    )
    if len(again) > 1 and sum(len(word_key(word.text)) for word in again) >= 6:
        assert spoken((*said, *in_no_time)) == said


def test_a_word_that_the_edge_had_cut_is_known_again_when_it_is_whole() -> None:
    """It begins before the end that was known of it; a word that is really said twice begins after it."""
    again = (Word(" Fail", 6.72, 6.88, 0.5), Word(" again.", 6.88, 7.16, 1.0))
    whole = (*again, Word(" Fail", 7.64, 8.34, 0.9), Word(" better.", 8.34, 8.66, 1.0))
    assert continuation((*again, Word(" Fail", 7.72, 7.72, 0.7)), whole) == 3
    twice = words("very very much")
    assert continuation(twice[:1], twice) == 1


def test_a_phrase_that_the_model_says_twice_is_committed_once() -> None:
    """In the midst of a window as at its end; a new word that has no time yet is no repetition."""
    twice = (
        *(Word(" fail", 5.30, 6.80, 0.25), Word(" again.", 6.80, 7.18, 0.96)),
        *(Word(" Fail", 7.18, 7.18, 0.77), Word(" again.", 7.18, 7.18, 0.95)),
        *(Word(" Fail", 7.64, 8.32, 0.94), Word(" better.", 8.32, 8.62, 0.99)),
        *(
            Word(" Fail", 9.21, 9.29, 0.90),
            Word(" better.", 9.29, 9.29, 0.57),
            Word(" Fail", 9.29, 9.29, 0.9),
        ),
        *(Word(" again", 9.29, 9.29, 0.56), Word(" today", 9.29, 9.29, 0.5)),
    )
    heard = Hypothesis(twice, 4.96, 9.4, "en", -0.2, 0.0, 1.0)
    assert "".join(word.text for word in following((), heard)) == " fail again. Fail better. today"
    assert following(twice[:2], heard)[0].start_s == 7.64


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


def test_no_word_begins_in_the_pause_before_its_utterance() -> None:
    """Alignment may stretch the first word back to the last one; speech is known to begin later."""
    said = Word(" days.", 4.2, 4.8, 0.9), Word(" If", 4.83, 6.45, 0.9), Word(" the", 6.45, 7.4, 0.9)
    heard = Hypothesis(said, 4.0, 9.0, "en", -0.2, 0.0, 1.0)
    assert [(w.start_s, w.end_s) for w in following(said[:1], heard, 6.9)] == [(6.9, 6.9), (6.9, 7.4)]


def test_short_words_said_quickly_one_after_the_other_all_stand() -> None:
    """“No no no no” is said in less time than alignment can tell apart."""
    said = tuple(Word(" no", 5.0 + 0.02 * at, 5.02 + 0.02 * at, 0.9) for at in range(4))
    assert len(following((), Hypothesis(said, 4.0, 6.0, "en", -0.2, 0.0, 1.0))) == 4

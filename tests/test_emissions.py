"""When words were shown, changed and committed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import View, match_in_time, trace_words, word_key
from rtstt_lab.types import Word


def words(text: str, start_s: float = 0.0, step_s: float = 0.4) -> tuple[Word, ...]:
    return tuple(
        Word(" " + word, start_s + i * step_s, start_s + (i + 0.8) * step_s, 0.9)
        for i, word in enumerate(text.split())
    )


def partial(at_s: float, text: str, committed: int = 0, segment: int = 0, start_s: float = 0.0) -> View:
    return View(False, segment, 0, at_s, at_s - 0.3, committed, words(text, start_s))


def final(at_s: float, text: str, segment: int = 0, start_s: float = 0.0) -> View:
    spoken = words(text, start_s)
    return View(True, segment, None, at_s, at_s - 0.3, len(spoken), spoken)


def column(rows: list[dict[str, object]], name: str) -> list[object]:
    return [row[name] for row in rows]


def test_three_readings_are_read_off_the_views() -> None:
    """A word is shown, changes, stands still and is committed at four different moments."""
    rows = trace_words(
        [
            partial(1.0, "the cat"),
            partial(1.5, "the cap sat"),
            partial(2.0, "the cat sat", committed=1),
            partial(2.5, "the cat sat.", committed=2),
            final(3.0, "the cat sat."),
        ]
    )
    assert column(rows, "word") == [" the", " cat", " sat."]
    assert column(rows, "shown_s") == [1.0, 1.0, 1.5]
    assert column(rows, "changed_s") == [1.0, 2.0, 2.5]
    assert column(rows, "emitted_s") == [2.0, 2.5, 3.0]
    assert column(rows, "emitted_heard_s") == pytest.approx([1.7, 2.2, 2.7])


def test_a_repeated_word_does_not_borrow_the_first_ones_time() -> None:
    """Of three equal words each gets the view that first showed it, not the first that showed its like."""
    rows = trace_words(
        [partial(0.5, "no"), partial(1.0, "no no"), partial(1.5, "no no no"), final(2.0, "no no no")]
    )
    assert column(rows, "shown_s") == [0.5, 1.0, 1.5]


def test_a_repetition_later_on_is_another_word() -> None:
    """A word said again two seconds later was not shown when it was said first."""
    rows = trace_words(
        [
            partial(1.0, "yes"),
            final(1.2, "yes"),
            partial(3.5, "yes", segment=1, start_s=3.0),
            final(4.0, "yes", 1, 3.0),
        ]
    )
    assert column(rows, "shown_s") == [1.0, 3.5]


def test_a_word_that_moves_to_the_next_segment_keeps_its_first_showing() -> None:
    """A word cut off into the next segment was on the screen already."""
    rows = trace_words(
        [
            partial(1.0, "good morning all"),
            final(1.5, "good morning"),
            View(False, 1, 0, 1.6, 1.5, 0, words("all", 0.8)),
            View(True, 1, None, 2.0, 1.8, 1, words("all", 0.8)),
        ]
    )
    assert column(rows, "shown_s") == [1.0, 1.0, 1.0]
    assert column(rows, "changed_s")[2] == 1.6
    assert column(rows, "emitted_s") == [1.5, 1.5, 2.0]


def test_word_key_drops_case_and_punctuation_only() -> None:
    """Diacritics tell words apart; commas and capitals do not."""
    assert word_key(" ¿Qué?") == word_key("qué") != word_key("que")
    assert word_key("…") == "…"


sequences = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5)), max_size=7).map(
    lambda items: [
        Word(text, start, start + 0.1, 1.0) for text, start in sorted(items, key=lambda item: item[1])
    ]
)


@settings(deadline=None)
@given(sequences, sequences)
def test_matching_pairs_are_equal_near_and_in_order(left: list[Word], right: list[Word]) -> None:
    """Whatever is paired is the same word, at its place, once; and a sequence pairs with itself wholly."""
    pairs = match_in_time(left, right)
    for (i, j), (k, m) in pairwise(pairs):
        assert i < k
        assert j < m
    assert all(
        left[i].text == right[j].text and abs(left[i].start_s - right[j].start_s) <= 1 for i, j in pairs
    )
    assert match_in_time(left, left) == [(i, i) for i in range(len(left))]


@settings(deadline=None, max_examples=60)
@given(sequences, sequences)
def test_matching_is_the_best_there_is(left: list[Word], right: list[Word]) -> None:
    """As many pairs as an exhaustive search finds, at no greater distance."""

    def best(i: int, j: int) -> tuple[int, float]:
        if i == len(left) or j == len(right):
            return 0, 0.0
        options = [best(i + 1, j), best(i, j + 1)]
        distance = abs(left[i].start_s - right[j].start_s)
        if left[i].text == right[j].text and distance <= 1:
            count, cost = best(i + 1, j + 1)
            options.append((count + 1, cost - distance))
        return max(options)

    pairs = match_in_time(left[:5], right[:5])
    left, right = left[:5], right[:5]
    count, cost = best(0, 0)
    assert len(pairs) == count
    assert -sum(abs(left[i].start_s - right[j].start_s) for i, j in pairs) == pytest.approx(cost)

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import word_key
from rtstt_lab.recognition.policy import (
    POLICIES,
    AlignAtt,
    CommitPolicy,
    ConfidenceGated,
    HoldN,
    LocalAgreement,
    Policy,
    common_prefix,
)
from rtstt_lab.types import Word


def words(text: str, *, start_s: float = 0.0, probability: float = 0.9) -> tuple[Word, ...]:
    """A word every 0.4 s, each 0.3 s long."""
    return tuple(
        Word(f" {word}", start_s + 0.4 * i, start_s + 0.4 * i + 0.3, probability)
        for i, word in enumerate(text.split())
    )


@st.composite
def tails(draw: st.DrawFn) -> list[tuple[Word, ...]]:
    """One to five hypotheses, each word sure or not."""
    vocabulary = st.sampled_from(["a", "b", "día", "No.", "no"])
    probability = st.sampled_from([0.2, 0.5, 0.9])
    drawn = draw(st.lists(st.lists(st.tuples(vocabulary, probability), max_size=8), min_size=1, max_size=5))
    return [
        tuple(Word(f" {text}", 0.4 * i, 0.4 * i + 0.3, p) for i, (text, p) in enumerate(each))
        for each in drawn
    ]


policies = st.sampled_from(sorted(POLICIES)).map(POLICIES.__getitem__)
edges = st.floats(0, 6)


@given(policies, tails(), edges, st.floats(0, 3))
@settings(deadline=None, max_examples=300)
def test_a_later_edge_commits_and_shows_no_less(
    policy: Policy, heard: list[tuple[Word, ...]], edge_s: float, more_s: float
) -> None:
    """Under every policy a count is of words that are there, and more audio behind them takes none back."""
    for count in (policy.committable, policy.presentable):
        assert 0 <= count(heard, edge_s) <= count(heard, edge_s + more_s) <= len(heard[-1])
        assert count([], edge_s) == 0


@given(policies, tails())
@settings(deadline=None)
def test_nothing_waits_for_an_edge_that_cannot_come_nearer(
    policy: Policy, heard: list[tuple[Word, ...]]
) -> None:
    """When nothing can change a hypothesis any more, every policy promises all of it."""
    assert policy.committable(heard, math.inf) == len(heard[-1])


@given(tails(), edges, st.integers(1, 3))
@settings(deadline=None, max_examples=200)
def test_agreement_is_of_as_many_hypotheses_as_it_says(
    heard: list[tuple[Word, ...]], edge_s: float, agreeing: int
) -> None:
    """The longest prefix that the newest n share is promised, and nothing before there are n."""
    count = LocalAgreement(agreeing=agreeing).committable(heard, edge_s)
    if len(heard) < agreeing:
        assert count == 0
        return
    newest = [[word_key(word.text) for word in tail] for tail in heard[-agreeing:]]
    assert all(tail[:count] == newest[-1][:count] for tail in newest)
    assert any(tail[: count + 1] != newest[-1][: count + 1] for tail in newest) or count == len(newest[-1])


@given(tails(), edges, st.integers(0, 9))
@settings(deadline=None)
def test_hold_n_keeps_the_last_n_words_back(heard: list[tuple[Word, ...]], edge_s: float, held: int) -> None:
    """Of the newest hypothesis exactly the last n words wait, whatever the others say."""
    assert HoldN(held=held).committable(heard, edge_s) == max(0, len(heard[-1]) - held)


@given(tails(), edges, st.floats(0, 2))
@settings(deadline=None)
def test_words_near_the_edge_wait(heard: list[tuple[Word, ...]], edge_s: float, hold_s: float) -> None:
    """AlignAtt promises, without a second hypothesis, just the words that end long enough before the edge."""
    ended = [word for word in heard[-1] if word.end_s <= edge_s - hold_s]
    assert AlignAtt(hold_s=hold_s).committable(heard, edge_s) == len(ended)


@given(tails(), edges)
@settings(deadline=None)
def test_confidence_lies_between_its_two_holds(heard: list[tuple[Word, ...]], edge_s: float) -> None:
    """Unsure words wait longer, so no more is promised than by the short hold, no less than by the long."""
    policy = ConfidenceGated()
    short, long = AlignAtt(hold_s=policy.hold_s), AlignAtt(hold_s=policy.unsure_hold_s)
    count = policy.committable(heard, edge_s)
    assert long.committable(heard, edge_s) <= count <= short.committable(heard, edge_s)


@given(tails(), edges, st.floats(0.5, 4))
@settings(deadline=None, max_examples=200)
def test_the_combination_asks_for_agreement_until_its_patience_ends(
    heard: list[tuple[Word, ...]], edge_s: float, patience_s: float
) -> None:
    """Old words are promised though disputed; younger ones only as agreement and confidence both allow."""
    policy = CommitPolicy(patience_s=patience_s)
    count = policy.committable(heard, edge_s)
    old = AlignAtt(hold_s=patience_s).committable(heard, edge_s) if len(heard) >= policy.agreeing else 0
    agreed = LocalAgreement(agreeing=policy.agreeing).committable(heard, edge_s)
    sure = ConfidenceGated().committable(heard, edge_s)
    assert count == max(old, min(agreed, max(old, sure)))


def test_an_unsure_word_waits_longer_and_holds_the_later_ones() -> None:
    """A word of low probability near the edge stops the commitment there."""
    policy = CommitPolicy(hold_s=0.5, unsure_hold_s=1.5, sure_probability=0.5)
    tail = words("uno dos") + words("tres", start_s=0.8, probability=0.2) + words("cuatro", start_s=1.2)
    assert policy.committable([tail, tail], edge_s=2.1) == 2
    assert policy.committable([tail, tail], edge_s=2.7) == 4


def test_a_word_that_stays_disputed_is_promised_at_last() -> None:
    """Two hypotheses that never agree on a word hold it, and all behind it, two seconds and no longer."""
    disputed = [words("hay tres cosas"), words("ay tres cosas")]
    policy = CommitPolicy(patience_s=2.0)
    assert policy.committable(disputed, edge_s=2.2) == 0
    assert policy.committable(disputed, edge_s=2.31) == 1
    assert policy.committable([tail[1:] for tail in disputed], edge_s=2.31) == 2
    assert CommitPolicy(patience_s=math.inf).committable(disputed, edge_s=60.0) == 0


def test_one_hypothesis_alone_promises_nothing_while_more_may_come() -> None:
    """Much audio at once makes all its words old; what was misheard in it can still be disputed."""
    at_once = words("hay tres cosas que decir")
    assert CommitPolicy().committable([at_once], edge_s=10.0) == 0
    assert CommitPolicy().committable([at_once], edge_s=math.inf) == 5
    assert CommitPolicy().committable([words("ay tres cosas"), at_once], edge_s=10.0) == 5


def test_case_and_punctuation_do_not_disagree() -> None:
    """Two hypotheses that differ in case and punctuation only say the same."""
    assert common_prefix([words("Él dijo: no"), words("él dijo, ¿no? sí")]) == 3


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_guess_is_not_shown_before_it_is_heard_twice(name: str) -> None:
    """A word of low probability is shown when the hypothesis before had it too, under every policy."""
    guess = words("uno") + words("dos", start_s=0.4, probability=0.2)
    assert POLICIES[name].presentable([guess], 2.0) == 1
    assert POLICIES[name].presentable([guess, guess], 2.0) == 2


def test_a_word_that_the_edge_may_have_cut_is_shown_only_if_the_model_is_sure() -> None:
    """The same new word at the same probability waits at the window's edge, and is shown away from it."""
    (word,) = words("dos", start_s=0.4, probability=0.6)
    policy = CommitPolicy()
    assert policy.presentable([(word,)], word.end_s + 0.05) == 0
    assert policy.presentable([(word,)], word.end_s + policy.edge_s) == 1
    (sure,) = words("dos", start_s=0.4, probability=0.9)
    assert policy.presentable([(sure,)], sure.end_s + 0.05) == 1

"""What becomes of a plan when some of its faults met nothing."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench.campaign import Trial
from rtstt_lab.lab.bench.faults import Plan
from rtstt_lab.lab.bench.trials import Outcome, Suffered
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.replay.corpus import Corpus

KINDS = ("cut", "dropped", "cut_while_finalizing")


def plan(*ids: str) -> Plan:
    corpus = Corpus.shipped("en").filter(ids=ids)
    return Plan(corpus, ModelStore().resolve("tiny.en"), kinds=KINDS, each=3, seed=7)


def outcome(trial: Trial, *, missed: str = "") -> Outcome:
    suffered = (
        Suffered(attempt, attempt.kind != missed, False, 0.0, 0.0, math.nan, math.nan)
        for attempt in trial.attempts
    )
    return Outcome(trial, suffered=tuple(suffered))


def test_further_sessions_hold_what_met_nothing() -> None:
    """Only the kind that is missing, in other sessions, and none without faults: those are there already."""
    laboratory = plan("en_laboratory")
    trials = laboratory.trials()
    outcomes = [outcome(trial, missed="dropped") for trial in trials]
    assert laboratory.outstanding(outcomes) == {"dropped": 3}
    added = laboratory.more(outcomes, 1)
    assert Counter(attempt.kind for trial in added for attempt in trial.attempts) == {"dropped": 3}
    assert all(trial.attempts and trial not in trials for trial in added)
    assert laboratory.more(outcomes, 1) == added != laboratory.more(outcomes, 2)
    assert not laboratory.outstanding([*outcomes, *map(outcome, added)])


def test_a_corpus_in_which_nobody_speaks_is_refused() -> None:
    """There is nothing to be lost in it."""
    with pytest.raises(UsageError, match="no recording"):
        plan().trials()

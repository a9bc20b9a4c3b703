"""A campaign is drawn up by rule: enough of each kind, in speech, apart, the same for a seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench import campaign
from rtstt_lab.lab.bench.campaign import (
    APART_S,
    CLEAN_RUNS,
    EACH,
    FINALIZING,
    KINDS,
    Trial,
    draw_up,
    outstanding,
    with_clean_runs,
)
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.replay.faults import Cut, Delay, Fault, FaultSchedule, MessageFault
from rtstt_lab.replay.speech import holds_speech


def recording(name: str, duration_s: float) -> Recording:
    return Recording(
        id=name,
        language="en",
        reference="good day",
        duration_s=duration_s,
        licence="",
        source="",
        speaker="",
        category="read",
        address="/nowhere",
    )


RECORDINGS = [recording("short", 9.0), recording("middling", 30.0), recording("long", 60.0)]
SPEECH_S: dict[str, NDArray[np.float64]] = {
    each.id: np.array([[t + 0.2, t + 4.5] for t in np.arange(0.0, each.duration_s - 5, 5.0)])
    for each in RECORDINGS
}


def drawn(seed: int = 0, each: int = EACH, part: int = 0) -> list[Trial]:
    return draw_up(RECORDINGS, SPEECH_S, campaign.wanted(each=each), seed=seed, part=part)


def in_speech(trials: list[Trial]) -> float:
    return float(
        np.mean(
            [
                bool(attempt.faults)
                and holds_speech(attempt.faults[0].at_s, 0.0, SPEECH_S[trial.recording.id])
                for trial in trials
                for attempt in trial.attempts
            ]
        )
    )


def kinds(trials: list[Trial]) -> Counter[str]:
    return Counter(attempt.kind for trial in trials for attempt in trial.attempts)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_every_campaign_keeps_the_rules(seed: int) -> None:
    """So many of each kind, nearly all in speech, each with room to recover before the next or the end."""
    trials = drawn(seed, each=6)
    assert kinds(trials) == dict.fromkeys(KINDS, 6)
    assert in_speech(trials) >= 0.8
    for trial in trials:
        timed = [attempt for attempt in trial.attempts if attempt.faults]
        for before, after in pairwise(timed):
            assert after.faults[0].at_s >= max(map(end_s, before.faults)) + APART_S
        for attempt in timed:
            assert (
                1.0 <= attempt.faults[0].at_s < max(map(end_s, attempt.faults)) <= trial.recording.duration_s
            )
        assert FaultSchedule.from_json(trial.schedule.as_json()) == trial.schedule


def end_s(fault: Fault) -> float:
    """Its end; of one that lies in wait for chunks, when they have come if the link is up."""
    return fault.at_s + 0.25 * fault.chunks if isinstance(fault, MessageFault) else fault.end_s


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_no_answer_to_stop_comes_before_the_cut(seed: int) -> None:
    """A cut while finalizing counts from stop and lies within one way there and one way back."""
    endings = [a for trial in drawn(seed, each=6) for a in trial.attempts if a.kind == FINALIZING]
    for attempt in endings:
        slow, cut = attempt.after_stop
        assert isinstance(slow, Delay)
        assert isinstance(cut, Cut)
        assert slow.covers(0.0)
        assert slow.end_s == cut.at_s < 2 * slow.delay_s


def test_the_whole_campaign_is_large_and_the_same_for_a_seed() -> None:
    """Two hundred faults and more by default, four fifths in speech; each part is another draw."""
    trials = drawn()
    assert sum(kinds(trials).values()) == 20 * len(KINDS) >= 200
    assert in_speech(trials) >= 0.85
    assert drawn() == trials
    assert drawn(seed=1) != trials
    assert drawn(part=1) != trials


def test_clean_sessions_are_strewn_in_once() -> None:
    """Three of each recording that is played, but none of one that has had its own."""
    trials = drawn(each=2)
    mixed = with_clean_runs(trials, seed=3)
    clean = Counter(trial.recording.id for trial in mixed if not trial.attempts)
    assert clean == dict.fromkeys({trial.recording.id for trial in trials}, CLEAN_RUNS)
    assert [trial for trial in with_clean_runs(trials, known=clean) if not trial.attempts] == []


delivery = st.lists(st.sampled_from(KINDS), max_size=40)


@settings(deadline=None, max_examples=30)
@given(st.lists(delivery, min_size=1, max_size=6))
def test_what_has_not_happened_is_drawn_up_again_and_nothing_else(rounds: list[list[str]]) -> None:
    """Whatever happened before, what is outstanding makes up each kind's count; no kind helps another."""
    wanted, done = campaign.wanted(each=5), Counter[str]()
    for part, happened in enumerate(rounds):
        missing = outstanding(wanted, done.elements())
        assert all(count > 0 for count in missing.values())
        assert all(max(done[kind], 5) == done[kind] + missing[kind] for kind in KINDS)
        assert kinds(draw_up(RECORDINGS, SPEECH_S, missing, part=part)) == missing
        done += Counter(happened)
    assert outstanding(wanted, (wanted + wanted).elements()) == Counter()


def test_what_cannot_be_drawn_up_is_refused() -> None:
    """A kind that does not exist, or that finds no room in any recording."""
    with pytest.raises(UsageError, match="meteor"):
        campaign.wanted(["meteor"])
    with pytest.raises(UsageError, match="kill"):
        draw_up(RECORDINGS[:1], SPEECH_S, campaign.wanted(["dropped", "kill"], 1))

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
from rtstt_lab.lab.bench.campaign import APART_S, CLEAN_RUNS, FINALIZING, KINDS, Trial, draw_up
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.replay.faults import FaultSchedule


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


def drawn(seed: int = 0, each: int = 20, **conditions) -> list[Trial]:
    return draw_up(RECORDINGS, SPEECH_S, seed=seed, each=each, **conditions)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_every_campaign_keeps_the_rules(seed: int) -> None:
    """So many of each kind, nearly all in speech, each with room to recover before the next or the end."""
    trials = drawn(seed, each=6)
    attempts = [attempt for trial in trials for attempt in trial.attempts]
    assert Counter(attempt.kind for attempt in attempts) == dict.fromkeys(KINDS, 6)
    in_recording = [attempt for attempt in attempts if attempt.kind != FINALIZING]
    assert np.mean([attempt.in_speech for attempt in in_recording]) >= 0.8
    for trial in trials:
        for before, after in pairwise(trial.attempts):
            assert after.at_s >= before.end_s + (0.0 if after.kind == FINALIZING else APART_S)
        for attempt in trial.attempts:
            if attempt.kind == FINALIZING:
                assert trial.recording.duration_s < attempt.at_s < trial.recording.duration_s + 0.3
            else:
                assert 1.0 <= attempt.at_s < attempt.end_s <= trial.recording.duration_s
        assert FaultSchedule.from_json(trial.schedule.as_json()) == trial.schedule
    clean = Counter(trial.recording.id for trial in trials if not trial.attempts)
    assert clean == dict.fromkeys({t.recording.id for t in trials if t.attempts}, CLEAN_RUNS)


def test_the_whole_campaign_is_large_and_the_same_for_a_seed() -> None:
    """Two hundred faults and more by default, four fifths of all of them in speech."""
    attempts = [attempt for trial in drawn() for attempt in trial.attempts]
    assert len(attempts) == 20 * len(KINDS) >= 200
    assert np.mean([attempt.in_speech for attempt in attempts]) >= 0.85
    assert drawn() == drawn()
    assert drawn() != drawn(seed=1)


def test_what_cannot_be_drawn_up_is_refused() -> None:
    """A kind that does not exist, or that finds no room in any recording."""
    with pytest.raises(UsageError, match="meteor"):
        drawn(kinds=["meteor"])
    with pytest.raises(UsageError, match="kill"):
        draw_up(RECORDINGS[:1], SPEECH_S, kinds=["dropped", "kill"], each=1)

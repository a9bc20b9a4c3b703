"""Promises without a decoder: which hypotheses count as opinions of their own."""

from __future__ import annotations

import pytest

from rtstt_lab.recognition.promises import Decoded, DecodeKind, Promises
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.types import Hypothesis, Partial, Word

SAID = (
    Word(" we", 0.2, 0.5, 0.9),
    Word(" hear", 0.5, 0.9, 0.9),
    Word(" you", 0.9, 1.2, 0.9),
)


def decoded(end_s: float, kind: DecodeKind = "running") -> Decoded:
    """The same three words, heard up to there."""
    return Decoded(end_s, kind, True, Hypothesis(SAID, 0.0, end_s, "en", -0.2, 1.0, 0.0))


def promised(*steps: Decoded, opinion_s: float = 0.4) -> list[int]:
    """How many words are promised after each step."""
    promises = Promises(RecognizerSettings(first_commit_s=0.0, opinion_s=opinion_s))
    counts = []
    for step in steps:
        (told,) = promises.hear(step)
        assert isinstance(told, Partial)
        counts.append(told.committed)
    return counts


def test_hypotheses_of_nearly_the_same_audio_are_one_opinion() -> None:
    """A quarter of a second later nothing is agreed yet; another quarter later the first one counts."""
    assert promised(decoded(2.0), decoded(2.25), decoded(2.5)) == [0, 0, 3]
    assert promised(decoded(2.0), decoded(2.5)) == [0, 3]


def test_a_distance_that_is_met_to_the_sample_is_met() -> None:
    """Sums of tenths are off by a little, and chunks come in tenths."""
    assert 2.8 - 2.4 < 0.4
    assert promised(decoded(2.4), decoded(2.8)) == [0, 3]


def test_without_a_distance_each_hypothesis_counts() -> None:
    """LocalAgreement as it was published."""
    assert promised(decoded(2.0), decoded(2.25), opinion_s=0.0) == [0, 3]


def test_a_quiet_moment_is_an_opinion_however_soon_it_comes() -> None:
    """Nothing new is to be heard then, so there is nothing to wait for."""
    assert promised(decoded(2.0), decoded(2.25, "quiet")) == [0, 3]


@pytest.mark.parametrize(("window_s", "wait_s"), [(0.5, 0.25), (2.5, 0.25), (4.0, 0.36), (8.0, 0.5)])
def test_longer_windows_are_decoded_less_often(window_s: float, wait_s: float) -> None:
    """Within half a second of the newest speech at any length."""
    assert RecognizerSettings().wait_s(window_s) == pytest.approx(wait_s)


def test_a_wanted_interval_beats_the_longest_one() -> None:
    """Who asks for a decode every two seconds gets that."""
    assert RecognizerSettings(interval_s=2.0).wait_s(8.0) == 2.0

"""Percentiles and bootstrap intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.analysis.statistics import Estimate, bootstrap, describe

observations = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


@settings(deadline=None, max_examples=12)
@given(st.lists(observations, min_size=2, max_size=6), st.integers(0, 2**32 - 1))
def test_intervals_behave(groups: list[list[float]], seed: int) -> None:
    """Figures lie within the data, percentiles and ends are in order, one seed gives one interval."""
    values = [value for group in groups for value in group]
    names = [index for index, group in enumerate(groups) for _ in group]
    got = describe(values, names, rng=np.random.default_rng(seed))
    assert got == describe(values, names, rng=np.random.default_rng(seed))
    assert (got.n, got.missing, got.utterances) == (len(values), 0, len(groups))
    assert got.p50.value <= got.p95.value <= got.p99.value
    slack = 1e-9 * max(map(abs, values))
    for figure in (got.mean, got.p50, got.p95, got.p99):
        assert figure.low <= figure.high
        for value in (figure.value, figure.low, figure.high):
            assert min(values) - slack <= value <= max(values) + slack


def test_percentiles_are_numpys() -> None:
    """p50, p95 and p99 of 0…100, by hand."""
    got = describe(list(range(101)), rng=np.random.default_rng(0))
    assert (got.mean.value, got.p50.value, got.p95.value, got.p99.value) == (50, 50, 95, 99)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of 120 samples of 40 utterances, nineteen twentieths of the intervals hold the true mean, or nearly."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(120):
        sample = [rng.normal(3.0, 1.0, 1) for _ in range(40)]
        estimate = bootstrap(sample, lambda x: float(x.mean()), rng, resamples=300)
        hits += estimate.low <= 3.0 <= estimate.high
    assert 0.88 <= hits / 120 <= 1.0


def test_utterances_are_drawn_whole() -> None:
    """Words of one recording go together: two that differ give an interval from one to the other."""
    got = describe([1.0] * 50 + [3.0] * 50, ["a"] * 50 + ["b"] * 50, rng=np.random.default_rng(0))
    assert (got.mean.low, got.mean.value, got.mean.high) == (1.0, 2.0, 3.0)


def test_one_utterance_has_no_interval_and_failures_are_counted() -> None:
    """No interval is made up from one recording; what never came is missing, not left out."""
    got = describe([1.0, math.nan, 2.0], rng=np.random.default_rng(0))
    assert (got.n, got.missing, got.mean.value) == (2, 1, 1.5)
    assert math.isnan(got.mean.low)
    assert f"{got.mean:.1f}" == "1.5"
    assert f"{Estimate(1.0, 0.5, 1.5, 9):.1f}" == "1.0 [0.5, 1.5]"
    assert math.isnan(describe([], rng=np.random.default_rng(0)).p95.value)


def test_awareness_is_said() -> None:
    """A distribution carries which clock it was read off."""
    got = describe([1.0], rng=np.random.default_rng(0), awareness="computation-unaware")
    assert got.awareness == pytest.approx("computation-unaware")

"""Falling behind."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from rtstt_lab.analysis.drift import latency_slope, trend


def test_slopes_are_within_recordings() -> None:
    """Two recordings that each gain 0.1 s a second, one far slower than the other: the slope is 0.1."""
    latencies = pd.DataFrame(
        {
            "run": ["a"] * 3 + ["b"] * 3,
            "end_s": [0.0, 10.0, 20.0, 0.0, 10.0, 20.0],
            "latency_s": [1.0, 2.0, 3.0, 9.0, math.nan, 11.0],
        }
    )
    slope = latency_slope(latencies, np.random.default_rng(0))
    assert (slope.value, slope.low, slope.high) == pytest.approx((0.1, 0.1, 0.1))
    assert math.isnan(latency_slope(latencies[:0], np.random.default_rng(0)).value)


def test_a_trend_is_told_with_its_interval() -> None:
    """Ten megabytes an hour in spite of noise; from two points nothing is concluded."""
    rng = np.random.default_rng(0)
    hours = np.linspace(0.0, 1.0, 40)
    grown = trend(np.stack([hours, 300 + 10 * hours + rng.normal(0, 0.5, 40)], axis=1), rng)
    assert grown.low < 10 < grown.high
    assert grown.high - grown.low < 2
    assert math.isnan(trend([(0, 1), (1, 2)], rng).value)

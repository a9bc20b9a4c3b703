"""Percentiles and bootstrap intervals: how sure a number is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES: Final = 1_000
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval.

    Attributes:
        value: the point estimate; NaN where there is nothing to estimate from.
        low: lower end; NaN with fewer than two utterances.
        high: upper end; likewise.
        n: utterances behind it.
    """

    value: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        value = format(self.value, spec)
        if math.isnan(self.low):
            return value
        return f"{value} [{format(self.low, spec)}, {format(self.high, spec)}]"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a set of observations looks like, failures counted.

    Attributes:
        n: observations.
        missing: observations that never came (no value to average, and never left out of the count).
        utterances: recordings that they came from; the bootstrap draws these.
        awareness: ``computation-aware`` (wall clock) or ``computation-unaware`` (audio clock).
    """

    n: int
    missing: int
    utterances: int
    mean: Estimate
    p50: Estimate
    p95: Estimate
    p99: Estimate
    awareness: str = "computation-aware"


def bootstrap(
    sample: Sequence[NDArray[np.float64]],
    statistic: Callable[[NDArray[np.float64]], float],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Percentile bootstrap over utterances (Efron 1979): whole utterances are drawn, never single words.

    Args:
        sample: one array an utterance: its observations along the first axis.
        statistic: of the drawn utterances' observations, joined.
        rng: source of chance; the same state gives the same interval.
        resamples: how many draws.
        level: of the interval.
    """
    (estimate,) = _bootstrap(sample, lambda x: np.array([statistic(x)]), rng, resamples, level)
    return estimate


def _bootstrap(
    sample: Sequence[NDArray[np.float64]],
    statistics: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> list[Estimate]:
    """Several statistics over the same draws."""
    n = len(sample)
    values = statistics(np.concatenate(sample) if n else np.array([]))
    if n < 2:
        return [Estimate(float(value), math.nan, math.nan, n) for value in values]
    drawn = rng.integers(0, n, (resamples, n))
    draws = np.array([statistics(np.concatenate([sample[i] for i in row])) for row in drawn])
    estimates = []
    for value, column in zip(values, draws.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if known.size else (math.nan,) * 2
        estimates.append(Estimate(float(value), float(low), float(high), n))
    return estimates


def describe(
    values: ArrayLike,
    utterances: Sequence[object] | None = None,
    *,
    rng: np.random.Generator,
    awareness: str = "computation-aware",
) -> Distribution:
    """Mean, p50, p95 and p99 with intervals over utterances.

    Args:
        values: observations; NaN where one never came.
        utterances: which recording each came from; None: all from one.
        rng: source of chance.
        awareness: see `Distribution`.
    """
    data = np.asarray(values, float)
    names = np.zeros(len(data), int) if utterances is None else _codes(utterances)
    there = ~np.isnan(data)
    groups = [data[there & (names == name)] for name in np.unique(names)]
    groups = [group for group in groups if group.size]

    mean, p50, p95, p99 = _bootstrap(groups, _figures, rng)
    return Distribution(
        n=int(there.sum()),
        missing=int((~there).sum()),
        utterances=len(groups),
        mean=mean,
        p50=p50,
        p95=p95,
        p99=p99,
        awareness=awareness,
    )


def _codes(names: Sequence[object]) -> NDArray[np.int64]:
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)


def _figures(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not values.size:
        return np.full(4, math.nan)
    return np.concatenate([[values.mean()], np.quantile(values, [0.5, 0.95, 0.99])])

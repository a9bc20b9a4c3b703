"""What changes while something goes on: latency during a recording, memory during a service."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from rtstt_lab.analysis.statistics import Estimate, bootstrap


def latency_slope(latencies: pd.DataFrame, rng: np.random.Generator) -> Estimate:
    """Seconds of latency that each second of audio adds: least squares within recordings, pooled over them.

    Args:
        latencies: ``run``, ``end_s``, ``latency_s``; rows without a latency are left out.
        rng: source of chance, for the bootstrap over recordings.
    """
    centred = []
    for _, own in latencies.dropna(subset=["latency_s"]).groupby("run", sort=False):
        points = own[["end_s", "latency_s"]].to_numpy(float)
        centred.append(points - points.mean(axis=0))
    return bootstrap(centred, _slope, rng)


def trend(points: ArrayLike, rng: np.random.Generator) -> Estimate:
    """Least-squares slope of y over x, with the bootstrap interval over points.

    Args:
        points: x and y, shape ``(n, 2)``; NaN below three points.
        rng: source of chance.
    """
    data = np.asarray(points, float).reshape(-1, 2)
    return bootstrap(
        [data[[index]] for index in range(len(data))] if len(data) > 2 else [], _centred_slope, rng
    )


def _centred_slope(points: NDArray[np.float64]) -> float:
    if not points.size or not np.ptp(points[:, 0]):  # a draw of one point again and again
        return float("nan")
    return _slope(points - points.mean(axis=0))


def _slope(points: NDArray[np.float64]) -> float:
    if not points.size:
        return float("nan")
    spread = float(np.square(points[:, 0]).sum())
    return float((points[:, 0] * points[:, 1]).sum() / spread) if spread else float("nan")

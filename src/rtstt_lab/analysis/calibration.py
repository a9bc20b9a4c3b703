"""Does a probability of 0.8 mean right four times in five?"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def reliability(probability: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """The reliability diagram: mean probability against the share of right words, in bins of equal width.

    Returns:
        ``probability``, ``accuracy``, ``n``; bins without words are left out.
    """
    data = pd.DataFrame(
        {"probability": np.asarray(probability, float), "accuracy": np.asarray(correct, float)}
    )
    index = np.minimum((data["probability"].to_numpy() * bins).astype(int), bins - 1)
    grouped = data.groupby(index)
    return grouped.mean().assign(n=grouped.size()).reset_index(drop=True)


def expected_calibration_error(probability: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """ECE: the diagram's distance from its diagonal, weighted by words (Naeini et al. 2015)."""
    table = reliability(probability, correct, bins=bins)
    if table.empty:
        return math.nan
    return float(np.average(np.abs(table["probability"] - table["accuracy"]), weights=table["n"]))

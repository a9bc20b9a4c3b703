"""The lagging family of simultaneous translation, over the words of one utterance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lagging:
    """Average lagging (Ma et al. 2019) and its kin.

    Attributes:
        al_s: average lagging, γ = |r| / T.
        laal_s: length-adaptive (Papi et al. 2022), γ = max(n, |r|) / T.
        dal_s: differentiable (Arivazhagan et al. 2019).
        ap: average proportion (Cho and Esipova 2016).
    """

    al_s: float
    laal_s: float
    dal_s: float
    ap: float


def lagging(delays_s: Sequence[float], duration_s: float, reference_words: int) -> Lagging:
    """AL, LAAL, DAL and AP of one utterance.

    Args:
        delays_s: d_i of the hypothesis' words in order: audio clock (unaware) or client's clock (aware).
        duration_s: T.
        reference_words: |r|, words of the reference.
    """
    n = len(delays_s)
    if not n or not reference_words or duration_s <= 0:
        return Lagging(math.nan, math.nan, math.nan, math.nan)
    delays = np.asarray(delays_s, float)
    step = duration_s / n
    paced: list[float] = []
    for delay in delays:
        paced.append(max(float(delay), paced[-1] + step) if paced else float(delay))
    return Lagging(
        al_s=_average_lagging(delays, duration_s, duration_s / reference_words),
        laal_s=_average_lagging(delays, duration_s, duration_s / max(n, reference_words)),
        dal_s=float(np.mean(np.array(paced) - np.arange(n) * step)),
        ap=float(delays.sum() / (n * duration_s)),
    )


def _average_lagging(delays: NDArray[np.float64], duration_s: float, step_s: float) -> float:
    if delays[0] > duration_s:
        return float(delays[0])
    before = int(np.argmax(delays > duration_s)) if (delays > duration_s).any() else len(delays)
    return float(np.mean(delays[:before] - np.arange(before) * step_s))

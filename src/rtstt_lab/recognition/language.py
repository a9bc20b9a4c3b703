"""The language of a session: given, or found out once there was enough speech."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Final as Constant

_log: Constant = logging.getLogger(__name__)

_LEAST_PROBABILITY: Constant = 1e-6


class SpokenLanguage:
    """Adds up what windows say of the language, longer ones more, until it is settled.

    Args:
        given: ISO 639-1 code; ``None`` to find it out.
        after_s: a window of this length settles it.
    """

    def __init__(self, given: str | None, after_s: float) -> None:
        self._settled = given
        self._after_s = after_s
        self._evidence: defaultdict[str, float] = defaultdict(float)

    @property
    def settled(self) -> str | None:
        """As given or found; ``None`` while there was too little speech to tell."""
        return self._settled

    def heard(self, probabilities: Mapping[str, float], duration_s: float) -> str:
        """Takes in what a window says.

        Args:
            probabilities: how likely each language is, by ISO 639-1 code.
            duration_s: length of the window.

        Returns:
            The most likely language by all windows so far.
        """
        for code, probability in probabilities.items():
            self._evidence[code] += duration_s * math.log(probability + _LEAST_PROBABILITY)
        best = max(self._evidence, key=lambda code: self._evidence[code])
        if duration_s >= self._after_s:
            self._settled = best
            _log.info("language settled: %s after %.1f s", best, duration_s)
        return best

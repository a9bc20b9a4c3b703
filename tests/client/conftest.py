"""A real server with a real model, and a clip."""

from __future__ import annotations

import pytest

from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

CLIP_S = 11.0
"""The first two sentences of the made English sample, and the pause behind them."""


@pytest.fixture(scope="session")
def clip() -> Samples:
    """Eleven seconds of English."""
    return load_audio(Corpus.shipped("en")["en_laboratory"])[: round(CLIP_S * SAMPLE_RATE_HZ)]

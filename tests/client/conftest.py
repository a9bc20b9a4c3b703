"""A real server with a real model, and a clip."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtstt_lab.client.local import LocalServer
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

CLIP_S = 11.0
"""The first two sentences of the made English sample, and the pause behind them."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server with tiny.en for all tests of this room."""
    with LocalServer(model="tiny.en", output=tmp_path_factory.mktemp("output")) as running:
        yield running


@pytest.fixture(scope="session")
def clip() -> Samples:
    """Eleven seconds of English."""
    return load_audio(Corpus.shipped("en")["en_laboratory"])[: round(CLIP_S * SAMPLE_RATE_HZ)]

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


def recording(name: str) -> Samples:
    """A human reading that the package moonshine-voice ships, at 16 kHz."""
    spec = find_spec("moonshine_voice")
    assert spec is not None
    assert spec.origin is not None
    samples, rate = soundfile.read(Path(spec.origin).parent / "assets" / name, dtype="float32")
    step = rate / SAMPLE_RATE_HZ
    positions = np.arange(0, len(samples), step)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32) if step != 1 else samples


@pytest.fixture(scope="session")
def two_cities() -> Samples:
    """44 s, one reader, no long pause."""
    return recording("two_cities.wav")


@pytest.fixture(scope="session")
def beckett() -> Samples:
    """10 s, one reader."""
    return recording("beckett.wav")


@pytest.fixture(scope="session")
def store() -> ModelStore:
    return ModelStore()


@pytest.fixture(scope="session")
def base(store: ModelStore) -> WhisperDecoder:
    return WhisperDecoder.load(store.resolve("base"))

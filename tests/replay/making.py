"""Sound files made for a test, and errors that speak both languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from rtstt_lab.errors import CorpusError


def sound(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    """Writes noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds))
    soundfile.write(path, noise.astype(np.float32), 16_000)
    return path


def assert_speaks_both_languages(error: CorpusError, *mentions: str) -> None:
    """The error is said in English and in Spanish, and names what it is about."""
    english, spanish = error.localized("en"), error.localized("es")
    assert english != spanish
    for mention in mentions:
        assert mention in english
        assert mention in spanish

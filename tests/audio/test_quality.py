"""Audio quality: levels against signals whose level is known."""

from __future__ import annotations

import numpy as np
import pytest

from rtstt_lab.audio.quality import QualityMeter, quality


@pytest.mark.requirement("M3")
def test_a_sine_has_its_known_level() -> None:
    """A sine at half scale is at −9 dBFS (RMS) with its peak at −6, unclipped."""
    sine = (0.5 * np.sin(2 * np.pi * 400 * np.arange(16_000) / 16_000)).astype(np.float32)
    measured = quality(sine)
    assert measured is not None
    assert measured.level_dbfs == pytest.approx(-9.03, abs=0.05)
    assert measured.peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert measured.clipped_ratio == 0


@pytest.mark.requirement("M3")
def test_clipping_noise_and_silence_show() -> None:
    """Clipped samples are counted, the quiet part gives the noise, and silence is no sound."""
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 0.001, 16_000).astype(np.float32)
    audio[4_000:8_000] = np.clip(2 * np.sin(np.arange(4_000) / 5), -1, 1)
    measured = quality(audio)
    assert measured is not None
    assert measured.speech
    assert measured.clipped_ratio == pytest.approx(0.25 * 2 / 3, abs=0.02)
    assert measured.noise_dbfs == pytest.approx(-60, abs=1)
    still = quality(np.zeros(16_000, np.float32))
    assert still is not None
    assert not still.speech
    assert still.level_dbfs == -120
    assert quality(np.zeros(100, np.float32)) is None


def test_the_meter_hears_the_last_second() -> None:
    """What was more than a second ago no longer counts."""
    meter = QualityMeter()
    assert meter.measure() is None
    meter.feed(np.ones(16_000, np.float32))
    for _ in range(4):
        meter.feed(np.zeros(4_000, np.float32))
    measured = meter.measure()
    assert measured is not None
    assert measured.peak_dbfs == -120

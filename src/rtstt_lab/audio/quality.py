"""How good the audio is that comes in (M3): level, clipping, noise, and whether there is any sound at all.

Levels are dBFS: 0 is a full-scale square wave, −120 stands for digital silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

_FLOOR_DBFS: Final = -120.0
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_CLIPPED: Final = 0.999
_QUIET_SHARE: Final = 10
_AUDIBLE_DBFS: Final = -55.0
_ABOVE_NOISE_DB: Final = 9.0


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one stretch of audio.

    Attributes:
        level_dbfs: root mean square.
        peak_dbfs: largest absolute sample.
        clipped_ratio: share of samples at full scale.
        noise_dbfs: level of its quietest tenth, in frames of 20 ms.
        speech: there is sound that stands out from the noise; a hint for a meter, no voice-activity decision.
    """

    level_dbfs: float
    peak_dbfs: float
    clipped_ratio: float
    noise_dbfs: float
    speech: bool


def quality(samples: Samples) -> Quality | None:
    """Measures a stretch of audio.

    Args:
        samples: shape ``(n,)``, 16 kHz mono.

    Returns:
        ``None`` for less than one frame of 20 ms.
    """
    count = len(samples) // _FRAME_SAMPLES
    if count == 0:
        return None
    frames = samples[: count * _FRAME_SAMPLES].reshape(count, _FRAME_SAMPLES).astype(np.float64)
    powers = np.mean(frames * frames, axis=1)
    level, noise = _dbfs(float(np.mean(powers))), _dbfs(float(np.percentile(powers, _QUIET_SHARE)))
    loudest = _dbfs(float(np.max(powers)))
    magnitudes = np.abs(samples)
    return Quality(
        level_dbfs=level,
        peak_dbfs=_dbfs(float(np.max(magnitudes)) ** 2),
        clipped_ratio=float(np.mean(magnitudes >= _CLIPPED)),
        noise_dbfs=noise,
        speech=loudest > _AUDIBLE_DBFS and loudest - noise > _ABOVE_NOISE_DB,
    )


def _dbfs(power: float) -> float:
    return max(_FLOOR_DBFS, 10.0 * float(np.log10(max(power, 1e-12))))


class QualityMeter:
    """Keeps the last second of what it is fed, and measures it when asked."""

    def __init__(self) -> None:
        self._last = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> None:
        """Takes samples in, shape ``(n,)``, 16 kHz mono."""
        self._last = np.concatenate([self._last, samples[-SAMPLE_RATE_HZ:]])[-SAMPLE_RATE_HZ:]

    def measure(self) -> Quality | None:
        """The last second; ``None`` before the first 20 ms."""
        return quality(self._last)

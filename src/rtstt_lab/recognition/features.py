"""Log-mel features without a matrix product.

faster-whisper multiplies the spectrum with a mostly empty 80 × 201 matrix through BLAS, whose idle threads
then spin: on short windows that costs more CPU than all the rest of the features. Each filter is summed
over its own few bins here.
"""

from __future__ import annotations

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from rtstt_lab.types import Samples


class LogMel:
    """The features of one Whisper model; same numbers as faster-whisper's, on one thread.

    Args:
        extractor: holds the model's filters and transform.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        filters: NDArray[np.float32] = np.asarray(extractor.mel_filters, np.float32)
        owners, self._bins = np.nonzero(filters)
        self._weights = filters[owners, self._bins][:, None]
        self._starts = np.searchsorted(owners, np.arange(len(filters)))
        self._hop = int(extractor.hop_length)
        self._window = np.hanning(int(extractor.n_fft) + 1)[:-1].astype(np.float32)

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Shape ``(n,)`` → ``(mel bands, n // hop + 1)``: a frame every 10 ms, reflected at both ends."""
        size = len(self._window)
        padded = np.pad(np.pad(samples, (0, self._hop)), size // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: self._hop][:-1]
        power = np.abs(np.fft.rfft(frames * self._window).astype(np.complex64).T) ** 2
        mel = np.add.reduceat(power[self._bins] * self._weights, self._starts, axis=0)
        levels = np.log10(np.maximum(mel, 1e-10))
        features: NDArray[np.float32] = (np.maximum(levels, levels.max() - 8.0) + 4.0) / 4.0
        return features.astype(np.float32, copy=False)

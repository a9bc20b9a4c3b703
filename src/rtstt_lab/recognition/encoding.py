"""What the decoder attends to: the encoder's output for a window, and the silence behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final as Constant

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from rtstt_lab.recognition.features import LogMel
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

POSITIONS: Constant = 1500
"""Of the encoder's output in 30 s, which is what it was trained with."""
POSITIONS_PER_S: Constant = 50

_PAD_SAMPLES: Constant = SAMPLE_RATE_HZ
_FRAMES: Constant = 2 * POSITIONS
_HOP_SAMPLES: Constant = SAMPLE_RATE_HZ // (2 * POSITIONS_PER_S)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One window.

    Attributes:
        heard: of its samples and the zeros behind them, shape (1, positions, d).
        memory: the same and the silence tail, up to 1500 positions: what the decoder attends to.
    """

    heard: ctranslate2.StorageView
    memory: ctranslate2.StorageView


class WindowEncoder:
    """The encoder of one loaded model. Safe to share, as the model is."""

    def __init__(self, whisper: WhisperModel) -> None:
        self._model = whisper.model
        self._log_mel = LogMel(whisper.feature_extractor)

    def short(self, samples: Samples, tail_positions: int) -> Encoded:
        """A second of zeros behind the samples, and so much encoded silence behind that.

        Args:
            samples: shape ``(n,)``, at most 29 s.
            tail_positions: 20 ms each; what would go beyond 30 s is left out.
        """
        window = np.concatenate((samples, np.zeros(_PAD_SAMPLES, np.float32)))
        heard = self._run(window, min(len(window) // (2 * _HOP_SAMPLES) * 2, _FRAMES))
        positions = heard.shape[1]
        tail = self._silence[:, positions : positions + tail_positions]
        return Encoded(
            heard, ctranslate2.StorageView.from_array(np.concatenate((np.array(heard), tail), axis=1))
        )

    def padded(self, samples: Samples) -> Encoded:
        """Zeros behind the samples up to 30 s, as plain Whisper does it."""
        encoded = self._run(np.pad(samples, (0, _FRAMES * _HOP_SAMPLES - len(samples))), _FRAMES)
        return Encoded(encoded, encoded)

    @cached_property
    def _silence(self) -> NDArray[np.float32]:
        """The encoding of 30 s of zeros, shape (1, 1500, d): kept for as long as the model."""
        return np.array(self._run(np.zeros(_FRAMES * _HOP_SAMPLES, np.float32), _FRAMES))

    def _run(self, samples: Samples, frames: int) -> ctranslate2.StorageView:
        features = np.ascontiguousarray(self._log_mel(samples)[None, :, :frames])
        return self._model.encode(ctranslate2.StorageView.from_array(features))

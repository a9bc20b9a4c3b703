"""Where speech is in a recording, by a detector over the clean audio: what chunks of speech are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.recognition.endpointing import EndpointingSettings, SpeechDetector, SpeechEnded, SpeechStarted
from rtstt_lab.types import Samples


def detect_speech(samples: Samples, settings: EndpointingSettings | None = None) -> NDArray[np.float64]:
    """Spans of speech, margins taken off.

    Args:
        samples: a whole recording, shape ``(n,)``, 16 kHz mono.
        settings: the detector's.

    Returns:
        Beginnings and ends in seconds, shape ``(m, 2)``.
    """
    settings = settings or EndpointingSettings()
    detector = SpeechDetector(settings)
    spans: list[list[float]] = []
    for event in [*detector.accept(samples), *detector.finish()]:
        match event:
            case SpeechStarted(at_s):
                spans.append([at_s + (settings.pre_roll_s if at_s > 0 else 0.0)] * 2)
            case SpeechEnded(_, speech_end_s):
                spans[-1][1] = max(speech_end_s, spans[-1][0])
    return np.array(spans).reshape(-1, 2)


def holds_speech(audio_s: float, duration_s: float, spans_s: NDArray[np.float64]) -> bool:
    """Whether a chunk touches a span of speech."""
    return bool(((spans_s[:, 0] < audio_s + duration_s) & (spans_s[:, 1] > audio_s)).any())

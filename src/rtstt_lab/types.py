"""What the rooms pass to each other: audio formats, words, hypotheses, partial and final results.

Frozen, without behaviour that needs a model, a clock or a socket. Times are seconds on the session's audio
clock, which counts the samples recorded (pauses excluded) from 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final as Constant
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.errors import AudioFormatError

SAMPLE_RATE_HZ: Constant = 16_000
"""Every sample inside the house is 16 kHz mono float32 in [-1, 1]."""

Samples: TypeAlias = NDArray[np.float32]
"""Shape ``(n,)``, dtype float32, 16 kHz mono."""

_CONTAINERS: Constant = {
    "audio/webm": "webm",
    "video/webm": "webm",
    "audio/ogg": "ogg",
    "application/ogg": "ogg",
    "audio/mp4": "mp4",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a stream of chunks is made of.

    Attributes:
        mime: as the recorder announced it, e.g. ``audio/webm;codecs=opus``.
        container: ``webm``, ``ogg``, ``mp4``, or ``pcm`` (raw signed 16-bit little-endian, 16 kHz mono).
    """

    mime: str
    container: str

    @classmethod
    def from_mime(cls, mime: str) -> AudioFormat:
        """Reads a MIME type as MediaRecorder writes it; parameters are allowed.

        Raises:
            AudioFormatError: for a type that is not accepted; its message lists those that are.
        """
        kind, *parameters = (part.strip().lower() for part in mime.split(";"))
        container = _CONTAINERS.get(kind)
        foreign_rate = any(p.startswith("rate=") and p != f"rate={SAMPLE_RATE_HZ}" for p in parameters)
        if container is None or (container == "pcm" and foreign_rate):
            raise AudioFormatError("audio_format", mime=mime[:80], accepted=", ".join(sorted(_CONTAINERS)))
        return cls(mime, container)


PCM: Constant = AudioFormat("audio/pcm;rate=16000", "pcm")


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the model wrote it.

    Attributes:
        text: with its leading space where the language has one: joined, the texts give the sentence back.
        start_s: first sample, on the session's audio clock.
        end_s: last sample.
        probability: the mean probability of its tokens, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    probability: float


def text_of(words: Iterable[Word]) -> str:
    """The sentence that the words make, without surrounding space."""
    return "".join(word.text for word in words).strip()


def confidence_of(words: Iterable[Word]) -> float:
    """Mean word probability, NaN for no words (metrics.md, "confidence")."""
    probabilities = [word.probability for word in words]
    return math.fsum(probabilities) / len(probabilities) if probabilities else math.nan


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What one decode of one window says; nothing of it is promised yet.

    Attributes:
        words: in order, times on the session's audio clock.
        start_s: where the decoded window begins.
        end_s: where it ends: the newest audio it heard.
        language: ISO 639-1 code that it was decoded in.
        average_log_probability: mean over its tokens.
        compression_ratio: of its text; over 2.4 hints at a loop.
        no_speech_probability: of the window.
    """

    words: tuple[Word, ...]
    start_s: float
    end_s: float
    language: str
    average_log_probability: float
    compression_ratio: float
    no_speech_probability: float


@dataclass(frozen=True, slots=True)
class Partial:
    """The present view of an open segment; replaces the segment's earlier partial.

    Attributes:
        segment: number of the segment, from 0.
        revision: number of this view within its segment, from 0.
        words: all words of the segment so far.
        committed: how many leading words will never change again.
        audio_end_s: the newest audio that was heard for it.
    """

    segment: int
    revision: int
    words: tuple[Word, ...]
    committed: int
    audio_end_s: float


@dataclass(frozen=True, slots=True)
class Final:
    """A closed segment; immutable.

    Attributes:
        segment: number of the segment, from 0.
        words: its words; never empty.
        audio_end_s: the newest audio that was heard for it.
        language: ISO 639-1 code.
    """

    segment: int
    words: tuple[Word, ...]
    audio_end_s: float
    language: str

    @property
    def text(self) -> str:
        """The segment's sentence."""
        return text_of(self.words)

    @property
    def confidence(self) -> float:
        """Mean word probability."""
        return confidence_of(self.words)

"""Reference times of words: each recording's text, aligned once and kept, the same for every system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from rtstt_lab.errors import StorageError
from rtstt_lab.recognition.alignment import VERSION, TextAligner
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus, Recording, Timing, load_audio, timings_of
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, Word

ALIGNER: Final = "base"
"""The model that aligns; it is the same for every model that is measured."""

_MARGIN_S: Final = 0.3
_COLUMNS: Final = ["word", "start_s", "end_s"]


@dataclass(frozen=True, slots=True)
class Bias:
    """Found minus true ends of made words, in seconds.

    Attributes:
        mean_s: the bias.
        p95_s: 95th percentile of the absolute error.
        n: words.
    """

    mean_s: float
    p95_s: float
    n: int


class ReferenceTimes:
    """Aligns when asked, and remembers; the model is loaded only for what is not remembered.

    Args:
        store: of models.
        folder: where the times are kept; default: below the store's cache.
    """

    def __init__(self, store: ModelStore, folder: Path | None = None) -> None:
        self._folder = folder or store.cache_dir / "word-times"
        self._model = store.resolve(ALIGNER)

    @property
    def name(self) -> str:
        """For the signature."""
        return f"{ALIGNER} {self._model.sha256[:12]} aligned, v{VERSION}"

    @cached_property
    def _aligner(self) -> TextAligner:
        return TextAligner(self._model)

    def of(self, recording: Recording) -> pd.DataFrame:
        """``word``, ``start_s``, ``end_s`` of each word of the recording's reference, in order.

        Raises:
            RecognitionError: the text does not fit the audio.
            StorageError: the cache cannot be written.
        """
        words = self._kept(
            recording.audio_hash(),
            recording.reference,
            recording.language,
            partial(load_audio, recording),
        )
        return pd.DataFrame([(w.text, w.start_s, w.end_s) for w in words], columns=_COLUMNS)

    def bias(self, language: str) -> dict[str, Bias]:
        """How far the found ends of words are from the true ones, on made words at exactly known times.

        Returns:
            ``apart``: the words as recorded, with pauses between them; ``joined``: the same words put end to
            end, as in running speech. Empty for a language without such recordings.
        """
        found: dict[str, list[float]] = {}
        for recording in Corpus.words(language):
            timings, key = timings_of(recording), recording.audio_hash()
            text = " ".join(timing.text for timing in timings)
            apart = self._kept(key, text, language, partial(load_audio, recording))
            joined = self._kept(f"{key} joined", text, language, partial(joined_audio, recording))
            for name, words, ends_s in (
                ("apart", apart, [timing.end_s for timing in timings]),
                ("joined", joined, joined_ends_s(timings)),
            ):
                errors = [word.end_s - end_s for word, end_s in zip(words, ends_s, strict=True)]
                found.setdefault(name, []).extend(errors)
        return {name: _bias(errors) for name, errors in found.items()}

    def _kept(self, audio: str, text: str, language: str, load: Callable[[], Samples]) -> tuple[Word, ...]:
        parts = [audio, text, language, self._model.sha256, str(VERSION)]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        path = self._folder / f"{digest}.json"
        words = _read(path)
        if words is None:
            words = self._aligner.align_text(load(), text, language)
            _write(path, words)
        return words


def joined_ends_s(timings: Sequence[Timing]) -> list[float]:
    """Where each word ends when all are put end to end, `_MARGIN_S` of silence around them."""
    lengths = [round(t.end_s * SAMPLE_RATE_HZ) - round(t.start_s * SAMPLE_RATE_HZ) for t in timings]
    return [_MARGIN_S + total / SAMPLE_RATE_HZ for total in accumulate(lengths)]


def joined_audio(recording: Recording) -> Samples:
    """Made words put end to end, `_MARGIN_S` of silence around them (`joined_ends_s`)."""
    samples = load_audio(recording)
    silence = np.zeros(round(_MARGIN_S * SAMPLE_RATE_HZ), np.float32)
    spans = [
        (round(t.start_s * SAMPLE_RATE_HZ), round(t.end_s * SAMPLE_RATE_HZ)) for t in timings_of(recording)
    ]
    return np.concatenate([silence, *(samples[start:end] for start, end in spans), silence])


def _bias(errors_s: Sequence[float]) -> Bias:
    errors = np.asarray(errors_s)
    return Bias(
        round(float(errors.mean()), 4), round(float(np.quantile(np.abs(errors), 0.95)), 4), len(errors)
    )


def _read(path: Path) -> tuple[Word, ...] | None:
    try:
        return tuple(Word(**word) for word in json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, words: Sequence[Word]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps([asdict(word) for word in words], ensure_ascii=False))
    except OSError as error:
        raise StorageError("cache_write", path=str(path), reason=error.strerror or str(error)) from error

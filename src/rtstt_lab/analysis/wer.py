"""Word and character error rates, after a named normaliser (metrics.md, "WER")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Final

import jiwer
import numpy as np
from numpy.typing import NDArray
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from rtstt_lab.analysis.statistics import Estimate, bootstrap

_VERSION: Final = version("whisper-normalizer")


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A normaliser with the name that goes into a signature."""

    name: str
    apply: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """The normalised text, words parted by one space."""
        return " ".join(self.apply(text).split())


@cache
def normalizer(language: str) -> Normalizer:
    """Whisper's English normaliser for ``en``; its basic one, diacritics kept, for every other language.

    Args:
        language: ISO 639-1 code.
    """
    if language == "en":
        return Normalizer(f"whisper-english-{_VERSION}", EnglishTextNormalizer())
    return Normalizer(f"whisper-basic-{_VERSION}", BasicTextNormalizer(remove_diacritics=False))


@dataclass(frozen=True, slots=True)
class Errors:
    """Edits of one utterance, in words or characters.

    Attributes:
        reference: units in the normalised reference; 0 for non-speech, where every unit is an insertion.
        hits: units that stand in both.
    """

    reference: int
    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def edits(self) -> int:
        """S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """(S + D + I) / N; NaN where the reference is empty."""
        return self.edits / self.reference if self.reference else float("nan")


def word_errors(reference: str, hypothesis: str, normalize: Normalizer) -> Errors:
    """Word edits of one utterance, by jiwer."""
    return _errors(normalize(reference), normalize(hypothesis), characters=False)


def character_errors(reference: str, hypothesis: str, normalize: Normalizer) -> Errors:
    """Character edits of one utterance, spaces included, by jiwer."""
    return _errors(normalize(reference), normalize(hypothesis), characters=True)


def _errors(reference: str, hypothesis: str, *, characters: bool) -> Errors:
    if not reference:  # jiwer refuses an empty reference; nothing but insertions can be there
        return Errors(0, 0, 0, 0, len(hypothesis) if characters else len(hypothesis.split()))
    process = jiwer.process_characters if characters else jiwer.process_words
    out = process(reference, hypothesis)
    return Errors(
        out.hits + out.substitutions + out.deletions,
        out.hits,
        out.substitutions,
        out.deletions,
        out.insertions,
    )


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """An error rate over utterances, as shares of 1.

    Attributes:
        pooled: Σ edits / Σ reference units, with its interval.
        mean: of the utterances' own rates.
        deletions: Σ deletions / Σ reference units, so that hiding hard words shows.
        insertions: Σ insertions / Σ reference units.
        utterances: how many.
        normalizer: name and version.
    """

    pooled: Estimate
    mean: float
    deletions: float
    insertions: float
    utterances: int
    normalizer: str


def error_rate(errors: Sequence[Errors], normalizer_name: str, rng: np.random.Generator) -> ErrorRate:
    """Pools utterances that have a reference; the interval is a bootstrap over utterances.

    Args:
        errors: one an utterance; those without reference words are left to the hallucination rate.
        normalizer_name: for the signature.
        rng: source of chance.
    """
    spoken = [e for e in errors if e.reference]
    edits = [np.array([[e.edits, e.deletions, e.insertions, e.reference]], float) for e in spoken]
    total = np.concatenate(edits).sum(axis=0) if edits else np.full(4, np.nan)
    return ErrorRate(
        pooled=bootstrap(edits, _pooled, rng),
        mean=float(np.mean([e.rate for e in spoken])) if spoken else float("nan"),
        deletions=float(total[1] / total[3]),
        insertions=float(total[2] / total[3]),
        utterances=len(spoken),
        normalizer=normalizer_name,
    )


def paired_difference(ours: Sequence[Errors], theirs: Sequence[Errors], rng: np.random.Generator) -> Estimate:
    """Pooled rate of ``ours`` − that of ``theirs``, over the same utterances in the same order.

    Raises:
        ValueError: the two do not pair.
    """
    edits = [
        np.array([[a.edits, a.reference, b.edits, b.reference]], float)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return bootstrap(edits, _difference, rng)


def _pooled(edits: NDArray[np.float64]) -> float:
    return float(edits[:, 0].sum() / edits[:, 3].sum()) if edits.size else float("nan")


def _difference(edits: NDArray[np.float64]) -> float:
    a, n, b, m = edits.sum(axis=0) if edits.size else np.zeros(4)
    return float(a / n - b / m) if n and m else float("nan")

"""Which recordings count for which figures, and the daily choice among them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Final, Literal, TypeAlias

from rtstt_lab.emissions import word_key
from rtstt_lab.replay.corpus import Corpus, Recording

Kind: TypeAlias = Literal["speech", "digits", "nonspeech"]

HEADLINE_LANGUAGES: Final = ("en", "es")
DAILY_SPEECH_S: Final = 130.0
"""Of each language."""
DAILY_NONSPEECH_S: Final = 40.0
NONSPEECH: Final = "nonspeech"

_DIGITS: Final = frozenset(
    (
        *("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        *("cero", "uno", "una", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    )
)


def kind_of(recording: Recording) -> Kind:
    """Non-speech has no reference; digit clips have one of digits only, spelt by each system as it likes."""
    words = [word_key(word) for word in recording.reference.split()]
    if not words:
        return "nonspeech"
    return "digits" if all(word in _DIGITS or word.isdecimal() for word in words) else "speech"


def measurable(corpus: Corpus, *, english_only: bool = False) -> Corpus:
    """What the benchmark can use: references or declared silence, and what the model knows.

    Args:
        corpus: any; recordings without a reference that are not of category ``nonspeech`` are left out, since
            nobody knows what is said in them.
        english_only: the model's.
    """
    return Corpus(
        recording
        for recording in corpus
        if (
            recording.category == NONSPEECH
            or (recording.reference and not (english_only and recording.language != "en"))
        )
    )


def daily(corpus: Corpus) -> Corpus:
    """About five minutes, chosen by rule: the headline languages alike, and some non-speech.

    In each language one recording of each category after the other is taken, in the order of the hashes of
    their ids, as long as the budget holds.
    """
    chosen = {
        recording.id
        for language in HEADLINE_LANGUAGES
        for recording in _within(
            (r for r in corpus if r.language == language and kind_of(r) != "nonspeech"), DAILY_SPEECH_S
        )
    }
    chosen |= {r.id for r in _within((r for r in corpus if kind_of(r) == "nonspeech"), DAILY_NONSPEECH_S)}
    return corpus.filter(ids=chosen)


def _within(recordings: Iterator[Recording], budget_s: float) -> Iterator[Recording]:
    by_category: dict[str, list[Recording]] = {}
    for recording in sorted(recordings, key=lambda r: hashlib.sha256(r.id.encode()).digest()):
        by_category.setdefault(recording.category, []).append(recording)
    turns = zip_longest(*(by_category[name] for name in sorted(by_category)))
    left_s = budget_s
    for recording in chain.from_iterable(turns):
        if recording is not None and recording.duration_s <= left_s:
            left_s -= recording.duration_s
            yield recording


def total_s(corpus: Corpus) -> float:
    """Length of all recordings together."""
    return math.fsum(recording.duration_s for recording in corpus)

"""How far the reference times of words are from those of another aligner: PocketSphinx, in English.

``python -m benchmarks.aligners --manifest FILE.csv --json aligners.json``

PocketSphinx aligns phones of a dictionary by Gaussian mixtures over hidden Markov states: nothing in it is
Whisper's. It is no dependency of the project; it hears whole recordings at once. Words that its dictionary
lacks are spelled letter by letter, so that the others find their places; they and their neighbours are not
compared.

Beside that: each aligner's error on made words at known times; how much of the words' time lies in pauses
that PocketSphinx hears; and, in every language, in what voice activity hears no speech in. The last is no
independent figure: the procedure listens to voice activity as well.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rtstt_lab.lab.bench.reference import ReferenceTimes, joined_audio, joined_ends_s
from rtstt_lab.lab.signature import package_version
from rtstt_lab.recognition.endpointing import FRAME_SAMPLES, EndpointingSettings, speech_probabilities
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio, timings_of
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

INSTALL: Final = "pip install --no-deps pocketsphinx==5.1.1"
LANGUAGE: Final = "en"
"""Of the model in PocketSphinx's wheel."""

_PHONES: Final = (
    "AE", "B", "K", "D", "EH", "F", "G", "HH", "IH", "JH", "K", "L", "M",
    "N", "AA", "P", "K", "R", "S", "T", "AH", "V", "W", "K", "IY", "Z",
)  # fmt: skip
_LETTERS: Final = dict(zip("abcdefghijklmnopqrstuvwxyz", _PHONES, strict=True))
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_BEAMS: Final[tuple[dict[str, float], ...]] = ({}, {"beam": 1e-80, "wbeam": 1e-80, "pbeam": 1e-80})
"""Its own, and wide ones where those lose the text."""

_FRAMES_A_SECOND: Final = 100
_FILLERS: Final = ("<", "[", "(NULL)")
_PAUSE_S: Final = 0.3
_LONG_WORD_S: Final = 1.2
_SPEECH: Final = EndpointingSettings().offset


@dataclass(frozen=True, slots=True)
class Heard:
    """A word where PocketSphinx hears it.

    Attributes:
        start_s: of its first phone.
        end_s: of its last one.
        known: whether its dictionary has the word.
    """

    start_s: float
    end_s: float
    known: bool


class Sphinx:
    """PocketSphinx with the English model of its wheel.

    Raises:
        ModuleNotFoundError: it is not installed.
    """

    def __init__(self) -> None:
        package = importlib.import_module("pocketsphinx")
        self._decoders = [package.Decoder(lm=None, loglevel="FATAL", **beams) for beams in _BEAMS]
        self._spelled: set[str] = set()

    def align(self, samples: Samples, words: Sequence[str]) -> list[Heard]:
        """Where each word is said; empty if they could not be aligned."""
        parts = [(number, part) for number, word in enumerate(words) for part in _parts(word)]
        known = [self._pronounce(part) for _, part in parts]
        spans_s = self._spans_s(samples, [part for _, part in parts])
        return [
            Heard(spans_s[own[0]][0], spans_s[own[-1]][1], all(known[k] for k in own))
            for own in (_of_each([number for number, _ in parts]) if spans_s else ())
        ]

    def _spans_s(self, samples: Samples, parts: Sequence[str]) -> list[tuple[float, float]]:
        pcm = (np.clip(samples, -1, 1) * np.iinfo(np.int16).max).astype(np.int16).tobytes()
        for decoder in self._decoders:
            decoder.set_align_text(" ".join(parts))
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
            found = [each for each in decoder.seg() or () if not each.word.startswith(_FILLERS)]
            if len(found) == len(parts):
                return [
                    (each.start_frame / _FRAMES_A_SECOND, (each.end_frame + 1) / _FRAMES_A_SECOND)
                    for each in found
                ]
        return []

    def _pronounce(self, part: str) -> bool:
        """Whether the dictionary has it; if not, it has a makeshift afterwards."""
        if self._decoders[0].lookup_word(part) is None:
            self._spelled.add(part)
            for decoder in self._decoders:
                decoder.add_word(part, " ".join(_LETTERS.get(letter, "AH") for letter in part), True)
        return part not in self._spelled


def _parts(word: str) -> list[str]:
    """Of a compound; signs are no part, a single digit is its name."""
    plain = word.lower().replace("’", "'")
    parts = [part.strip("'_.") for part in re.findall(r"[\w'.]+", plain)]
    return [_DIGITS[int(part)] if part in set("0123456789") else part for part in parts if part] or [plain]


def _of_each(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Indices of the parts of each word."""
    for number in sorted(set(numbers)):
        yield [index for index, each in enumerate(numbers) if each == number]


def compare(words: pd.DataFrame, heard: Sequence[Heard]) -> pd.DataFrame:
    """``start_s`` and ``end_s`` less PocketSphinx's of each word that may be compared.

    Args:
        words: of the reference times.
        heard: the same words.
    """
    known = np.array([True, *(each.known for each in heard), True])
    table = pd.DataFrame(
        {
            "start_s": words["start_s"].to_numpy() - [each.start_s for each in heard],
            "end_s": words["end_s"].to_numpy() - [each.end_s for each in heard],
        }
    )
    chosen: pd.DataFrame = table.loc[known[:-2] & known[1:-1] & known[2:]]
    return chosen


def in_pauses_s(words: pd.DataFrame, heard: Sequence[Heard]) -> float:
    """How much of the words' time lies where PocketSphinx hears a pause between two words."""
    gaps = [
        (before.end_s, after.start_s)
        for before, after in pairwise(heard)
        if after.start_s - before.end_s >= _PAUSE_S
    ]
    return float(sum(_common_s(words, begin_s, end_s) for begin_s, end_s in gaps))


def unspoken_s(words: pd.DataFrame, probabilities: NDArray[np.float32]) -> float:
    """How much of the words' time lies where voice activity hears no speech for `_PAUSE_S` or more."""
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    quiet = np.concatenate(([0], probabilities < _SPEECH, [0]))
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8))).reshape(-1, 2) * frame_s
    return float(sum(_common_s(words, a, b) for a, b in edges if b - a >= _PAUSE_S))


def _common_s(words: pd.DataFrame, begin_s: float, end_s: float) -> float:
    return float(
        (words["end_s"].clip(upper=end_s) - words["start_s"].clip(lower=begin_s)).clip(lower=0).sum()
    )


def spread(errors_s: pd.Series) -> dict[str, float]:
    """Mean, median, 95th percentile of what is off, how many, and how many by more than 0.3 s."""
    off = errors_s.abs()
    return {
        "mean_s": round(float(errors_s.mean()), 3),
        "median_s": round(float(errors_s.median()), 3),
        "p95_off_s": round(float(off.quantile(0.95)), 3),
        "off_0_3_s": int((off > 0.3).sum()),
        "n": len(errors_s),
    }


def made_words(sphinx: Sphinx) -> dict[str, dict[str, float]]:
    """PocketSphinx's ends less the true ones, as `ReferenceTimes.bias` has them of ours."""
    errors: dict[str, list[float]] = {"apart": [], "joined": []}
    for recording in Corpus.words(LANGUAGE):
        timings = timings_of(recording)
        for name, samples, ends_s in (
            ("apart", load_audio(recording), [timing.end_s for timing in timings]),
            ("joined", joined_audio(recording), joined_ends_s(timings)),
        ):
            heard = sphinx.align(samples, [timing.text for timing in timings])
            errors[name] += [
                each.end_s - true for each, true in zip(heard, ends_s, strict=True) if each.known
            ]
    return {name: spread(pd.Series(each)) for name, each in errors.items()}


def measure(corpus: Corpus, sphinx: Sphinx) -> dict[str, Any]:
    """Aligns every recording that has a text, in both ways where both can."""
    times = ReferenceTimes(ModelStore())
    rows: list[dict[str, Any]] = []
    compared: list[pd.DataFrame] = []
    for recording in corpus:
        if recording.reference:
            row, differences = _measure(recording, times.of(recording), sphinx)
            rows.append(row)
            compared += [] if differences is None else [differences]
    english = [row for row in rows if row["language"] == LANGUAGE]
    both = pd.concat(compared) if compared else pd.DataFrame({"start_s": [], "end_s": []})
    return {
        "ends": spread(both["end_s"]),
        "starts": spread(both["start_s"]),
        "in_pauses": _share(english, "in_pauses_s"),
        "not_aligned": [row["id"] for row in english if "in_pauses_s" not in row],
        "made_words": {
            "sphinx": made_words(sphinx),
            **{
                f"ours, {language}": {name: asdict(bias) for name, bias in times.bias(language).items()}
                for language in sorted({recording.language for recording in Corpus.words()})
            },
        },
        "by_language": {
            language: {
                "words": sum(row["words"] for row in own),
                "long_words": sum(row["long_words"] for row in own),
                "unspoken": _share(own, "unspoken_s"),
            }
            for language in sorted({row["language"] for row in rows})
            for own in [[row for row in rows if row["language"] == language]]
        },
        "recordings": rows,
        "signature": {
            "corpus": f"{len(rows)} recordings, {corpus.hash[:12]}",
            "reference": times.name,
            "version": package_version(),
            "install": INSTALL,
        },
    }


def _measure(
    recording: Recording, words: pd.DataFrame, sphinx: Sphinx
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    samples = load_audio(recording)
    lengths_s = words["end_s"] - words["start_s"]
    row: dict[str, Any] = {
        "id": recording.id,
        "language": recording.language,
        "words": len(words),
        "words_s": float(lengths_s.sum()),
        "long_words": int((lengths_s > _LONG_WORD_S).sum()),
        "unspoken_s": unspoken_s(words, speech_probabilities(samples)),
    }
    heard = sphinx.align(samples, words["word"].tolist()) if recording.language == LANGUAGE else []
    if not heard:
        return row, None
    differences = compare(words, heard)
    row["in_pauses_s"] = in_pauses_s(words, heard)
    row["ends"] = spread(differences["end_s"])
    return row, differences


def _share(rows: Sequence[dict[str, Any]], key: str) -> float:
    """Of the words' time, over the recordings that have it."""
    having = pd.DataFrame([row for row in rows if key in row], columns=[key, "words_s"]).sum()
    return round(float(having[key] / having["words_s"]), 4)


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, help="default: RTSTT_CORPUS, else the shipped recordings")
    parser.add_argument("--json", type=Path, required=True, help="the report")
    asked = parser.parse_args()
    try:
        sphinx = Sphinx()
    except ModuleNotFoundError:
        parser.error(f"PocketSphinx is not installed. Install it for this measurement: {INSTALL}")
    corpus = Corpus.folder(asked.manifest) if asked.manifest else None
    corpus = corpus or Corpus.from_environment(os.environ) or Corpus.shipped()
    measured = measure(corpus, sphinx)
    write_atomically(asked.json, json.dumps(measured, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()

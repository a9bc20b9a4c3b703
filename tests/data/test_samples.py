"""The committed speech is what the registry and its tables say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtstt_lab.replay.corpus import Corpus, Recording, load_audio, timings_of
from rtstt_lab.replay.recording import sha256_of

RATE_HZ = 16_000
MADE = [*Corpus.shipped().filter(category="made"), *Corpus.words()]
WORDS = list(Corpus.words())


def audible(samples: np.ndarray) -> tuple[float, float]:
    """First and last second of ``samples`` whose 10 ms RMS level is within 40 dB of the loudest."""
    width = RATE_HZ // 100
    power = np.convolve(np.square(samples, dtype=np.float64), np.full(width, 1 / width), mode="same")
    heard = np.flatnonzero(power > power.max() * 10 ** (-40 / 10))
    return heard[0] / RATE_HZ, heard[-1] / RATE_HZ


@pytest.mark.requirement("U2")
@pytest.mark.parametrize("recording", MADE, ids=lambda recording: recording.id)
def test_each_sample_is_what_the_registry_says(recording: Recording) -> None:
    """Hash, length, format, loudness and leading and trailing silence are as documented."""
    path = recording.path()
    assert sha256_of(path) == recording.sha256
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", RATE_HZ, 1)
    samples = load_audio(recording)
    assert len(samples) / RATE_HZ == pytest.approx(recording.duration_s, abs=0.001)
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-3.0, abs=0.1)
    assert not samples[: int(0.3 * RATE_HZ)].any()
    assert not samples[-int(0.99 * RATE_HZ) :].any()


def test_the_samples_stay_small(root: Path) -> None:
    """All sound in the repository together is under 3 MB."""
    assert sum(path.stat().st_size for path in root.glob("data/**/*.flac")) < 3_000_000


@pytest.mark.parametrize("recording", MADE, ids=lambda recording: recording.id)
def test_the_text_is_the_reference_and_holds_no_digits(recording: Recording) -> None:
    """The table's texts, joined, are the reference, which needs no normalising of numbers."""
    assert " ".join(timing.text for timing in timings_of(recording)) == recording.reference
    assert not any(letter.isdigit() for letter in recording.reference)


@pytest.mark.requirement("M1")
@pytest.mark.parametrize("recording", WORDS, ids=lambda recording: recording.id)
def test_the_words_times_are_true(recording: Recording) -> None:
    """Each word begins and ends within 20 ms of its table's times, 1.5 s after the last, between zeros."""
    timings, samples = timings_of(recording), load_audio(recording)
    assert len(timings) == 12
    for timing in timings:
        around_s = timing.start_s - 0.25
        start_s, end_s = audible(samples[round(around_s * RATE_HZ) :][: round(1.4 * RATE_HZ)])
        assert around_s + start_s == pytest.approx(timing.start_s, abs=0.02)
        assert around_s + end_s == pytest.approx(timing.end_s, abs=0.02)
        samples[round(timing.start_s * RATE_HZ) : round(timing.end_s * RATE_HZ) + 1] = 0
    assert not samples.any()
    assert np.diff([timing.start_s for timing in timings]) == pytest.approx(np.full(11, 1.5), abs=1e-9)


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_sentences_are_parted_by_silence_and_once_by_two_seconds_of_it(language: str) -> None:
    """Digital silence lies in every gap; one is wide enough to pause a session in."""
    recording = Corpus.shipped()[f"{language}_laboratory"]
    timings, samples = timings_of(recording), load_audio(recording)
    gaps = [(a.end_s, b.start_s) for a, b in pairwise(timings)]
    for start_s, end_s in gaps:
        assert not samples[round(start_s * RATE_HZ) + 1 : round(end_s * RATE_HZ)].any()
    widths = sorted(end_s - start_s for start_s, end_s in gaps)
    assert widths[-1] == pytest.approx(2.0, abs=0.001)
    assert 0.4 <= widths[0] <= widths[-2] <= 0.8


def test_the_readme_names_the_long_gap(root: Path) -> None:
    """The documentation's times are the table's."""
    readme = (root / "data" / "samples" / "README.md").read_text("utf-8")
    for language in ("en", "es"):
        timings = timings_of(Corpus.shipped()[f"{language}_laboratory"])
        before, after = max(pairwise(timings), key=lambda pair: pair[1].start_s - pair[0].end_s)
        assert f"{before.end_s:.2f} to {after.start_s:.2f} s" in readme

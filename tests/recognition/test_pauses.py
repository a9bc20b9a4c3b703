"""Pauses by level and by voice activity, and what words become of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtstt_lab.recognition import pauses
from rtstt_lab.recognition.endpointing import FRAME_SAMPLES, speech_probabilities
from rtstt_lab.recognition.pauses import Activity, frame_levels, part_words, spoken_spans, unspoken_frames
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, Word

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ


def levels_of(*stretches: tuple[float, float]) -> np.ndarray:
    """Seconds and dBFS of each stretch."""
    return np.concatenate([np.full(round(length_s * 100), float(level)) for length_s, level in stretches])


def heard_in(length_s: float, *spans_s: tuple[float, float]) -> np.ndarray:
    """What the network would say if it heard speech in these spans and nowhere else."""
    centres = (np.arange(round(length_s / FRAME_S) + 1) + 0.5) * FRAME_S
    return np.any([(a <= centres) & (centres < b) for a, b in spans_s], axis=0).astype(np.float32)


def spans_of(flags: np.ndarray) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0])))).reshape(-1, 2)
    return [(float(a) / 100, float(b) / 100) for a, b in edges]


def test_a_pause_full_of_noise_is_found_and_onsets_are_spared() -> None:
    """It lasts until 0.1 s before the network hears the next word; what is shorter than 0.3 s is none."""
    levels = levels_of((4, -20))
    found = unspoken_frames(levels, heard_in(4, (0, 1), (2, 3), (3.2, 4)))
    ((start_s, end_s),) = spans_of(found)
    assert (start_s, end_s) == pytest.approx((1.0, 1.9), abs=FRAME_S)


def test_a_loud_sound_between_silences_is_a_word_that_the_network_missed() -> None:
    """A faint one there is none, and where nothing is silent loud noise is none either."""
    heard = heard_in(4, (0, 1), (3, 4))
    missed = spans_of(unspoken_frames(levels_of((1, -20), (0.5, -90), (0.5, -25), (1, -90), (1, -20)), heard))
    assert missed == [
        (pytest.approx(1.0, abs=FRAME_S), 1.5),
        (2.0, pytest.approx(2.9, abs=FRAME_S)),
    ]
    for between in (((0.5, -90), (0.5, -45), (1, -90)), ((0.5, -40), (0.5, -15), (1, -40))):
        ((start_s, end_s),) = spans_of(unspoken_frames(levels_of((1, -20), *between, (1, -20)), heard))
        assert (start_s, end_s) == pytest.approx((1.0, 2.9), abs=FRAME_S)


def test_words_are_parted_at_a_noisy_pause() -> None:
    """A long pause lies within no word, however far from the boundary; the words keep their outer edges."""
    activity = Activity(levels_of((6, -20)), np.zeros(600, np.bool_))
    words = [Word("one", 0.0, 1.0, 0.9), Word("two", 1.0, 5.0, 0.9), Word("three", 5.0, 6.0, 0.9)]
    assert part_words(activity, words) == words
    noisy = activity.unspoken.copy()
    noisy[150:480] = True
    assert part_words(replace(activity, unspoken=noisy), words) == [
        replace(words[0], end_s=1.5),
        replace(words[1], start_s=4.8),
        words[2],
    ]


def test_the_middle_of_a_noisy_pause_is_left_out() -> None:
    """0.15 s stay on either side; spans are samples counted from the part's beginning."""
    noisy = np.zeros(1000, np.bool_)
    noisy[400:700] = True
    activity = Activity(levels_of((10, -20)), noisy)
    second = SAMPLE_RATE_HZ
    assert spoken_spans(activity, 2 * second, 9 * second) == [
        (0, round(2.15 * second)),
        (round(4.85 * second), 7 * second),
    ]
    assert spoken_spans(activity, 8 * second, 9 * second) == [(0, second)]


def test_voice_activity_that_leaves_no_time_for_what_is_said_is_not_believed(two_cities: Samples) -> None:
    """Noise with a text is whispered speech, for all one knows: level alone tells its pauses."""
    noise = np.random.default_rng(0).normal(0, 0.05, 3 * SAMPLE_RATE_HZ).astype(np.float32)
    assert Activity.of(noise).unspoken.mean() > 0.9
    assert not Activity.of(noise, least_speech_s=0.8).unspoken.any()
    speech = two_cities[: 10 * SAMPLE_RATE_HZ]
    assert np.array_equal(Activity.of(speech, least_speech_s=3.0).unspoken, Activity.of(speech).unspoken)


def test_a_recording_that_is_nothing_has_no_frames() -> None:
    """Of no length, and shorter than a frame."""
    for length in (0, 100):
        activity = Activity.of(np.zeros(length, np.float32))
        assert not len(activity.levels)
        assert not len(activity.unspoken)
        assert spoken_spans(activity, 0, length) == [(0, length)]


def test_levels_and_probabilities_cover_the_same_audio(two_cities: Samples) -> None:
    """One level each 10 ms, one probability each 32 ms begun; blocks make no difference."""
    samples = two_cities[: 40 * SAMPLE_RATE_HZ + 77]
    assert len(frame_levels(samples)) == 40 * pauses.FRAMES_A_SECOND
    whole = speech_probabilities(samples)
    assert len(whole) == 40 * SAMPLE_RATE_HZ // FRAME_SAMPLES + 1
    part = speech_probabilities(samples[: 1100 * FRAME_SAMPLES])
    assert part == pytest.approx(whole[:1100], abs=1e-6)

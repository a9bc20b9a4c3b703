from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.recognition.endpointing import (
    EndpointingSettings,
    SpeechDetector,
    SpeechEnded,
    SpeechEvent,
    SpeechStarted,
)
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


def silence(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)


@pytest.fixture(scope="module")
def two_utterances(two_cities: Samples) -> Samples:
    """1 s of silence, 3 s of speech, 2 s of silence, 2 s of speech that is cut off."""
    speech = two_cities[round(1.3 * SAMPLE_RATE_HZ) : round(6.3 * SAMPLE_RATE_HZ)]
    three_s = 3 * SAMPLE_RATE_HZ
    return np.concatenate((silence(1), speech[:three_s], silence(2), speech[three_s:]))


def events(audio: Samples, sizes: list[int]) -> list[SpeechEvent]:
    detector = SpeechDetector()
    found, at, turn = [], 0, 0
    while at < len(audio):
        size = sizes[turn % len(sizes)]
        found += detector.accept(audio[at : at + size])
        at, turn = at + size, turn + 1
    return found + detector.finish()


def test_utterances_are_found_with_pre_roll(two_utterances: Samples) -> None:
    """Two utterances, each beginning a little before its first sound and ending after its last."""
    first, first_end, second, second_end = events(two_utterances, [4000])
    settings_ = EndpointingSettings()
    assert isinstance(first, SpeechStarted)
    assert 0.5 <= first.at_s <= 1.5
    assert isinstance(first_end, SpeechEnded)
    assert 3.5 <= first_end.speech_end_s <= 4.2
    assert first_end.at_s - first_end.speech_end_s == pytest.approx(settings_.pause_s, abs=0.033)
    assert isinstance(second, SpeechStarted)
    assert 5.3 <= second.at_s <= 7.0
    assert isinstance(second_end, SpeechEnded)
    assert second_end.at_s == len(two_utterances) / SAMPLE_RATE_HZ


@given(st.lists(st.integers(200, 9000), min_size=1, max_size=6))
@settings(deadline=None, max_examples=6)
def test_the_size_of_the_pieces_changes_nothing(two_utterances: Samples, sizes: list[int]) -> None:
    """The state is kept between calls: any cutting of the audio gives the same utterances."""
    whole = events(two_utterances, [len(two_utterances)])
    found = events(two_utterances, sizes)
    assert [(type(e), pytest.approx(e.at_s, abs=1e-6)) for e in whole] == [(type(e), e.at_s) for e in found]


def test_silence_and_noise_hold_no_speech() -> None:
    """10 s of zeros and 10 s of faint noise start nothing, and all of it is known to be quiet."""
    detector = SpeechDetector(start_s=100.0)
    noise = np.random.default_rng(1).normal(0, 0.003, 10 * SAMPLE_RATE_HZ).astype(np.float32)
    assert not detector.accept(silence(10)) + detector.accept(noise)
    assert detector.quiet_until_s == pytest.approx(120.0, abs=0.4)
    assert not detector.finish()


def test_the_samples_are_left_as_they_are(two_cities: Samples) -> None:
    """Judging changes nothing in the caller's array."""
    audio = two_cities[: SAMPLE_RATE_HZ + 7].copy()
    detector = SpeechDetector()
    detector.accept(audio)
    detector.finish()
    assert np.array_equal(audio, two_cities[: SAMPLE_RATE_HZ + 7])


def test_after_the_end_the_clock_goes_on(two_utterances: Samples) -> None:
    """Audio after `finish` (a pause, then a resume) is timed from where the earlier audio stopped."""
    detector = SpeechDetector()
    detector.accept(two_utterances)
    detector.finish()
    again = detector.accept(two_utterances) + detector.finish()
    length_s = len(two_utterances) / SAMPLE_RATE_HZ
    assert len(again) == 4
    assert all(length_s <= event.at_s <= 2 * length_s + 1e-6 for event in again)
    assert detector.judged_s == pytest.approx(2 * length_s)


def test_speech_that_was_ended_stays_where_it_was() -> None:
    """Its end is that of the audio, also in a frame that was filled up, whatever comes in later."""
    detector = SpeechDetector(EndpointingSettings(onset=0.0, offset=0.0, min_speech_s=10.0), start_s=5.0)
    detector.accept(silence(1.0))
    started, ended = detector.finish()
    assert (started.at_s, ended) == (5.0, SpeechEnded(at_s=6.0, speech_end_s=6.0))
    for _ in range(3):
        assert (detector.speech_end_s, detector.silence_s) == (6.0, 0.0)
        assert not detector.accept(silence(0.5))


def test_the_beginning_of_a_word_at_the_very_end_counts() -> None:
    """Speech too short to be announced while it comes in is announced when the audio ends in it."""
    detector = SpeechDetector(EndpointingSettings(onset=0.0, offset=0.0, min_speech_s=0.2))
    assert not detector.accept(silence(0.1))
    assert [type(event) for event in detector.finish()] == [SpeechStarted, SpeechEnded]

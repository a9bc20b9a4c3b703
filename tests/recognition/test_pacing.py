"""Bounded lag, on a virtual clock: scripted decodes that take K times what they take elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recognition.test_streaming import Script, check, said

from rtstt_lab.emissions import word_key
from rtstt_lab.lab.bench.streaming import VirtualClock, stream
from rtstt_lab.recognition.endpointing import SpeechDetector, SpeechEnded
from rtstt_lab.recognition.pacing import Pace, easier, work
from rtstt_lab.recognition.settings import PROFILES
from rtstt_lab.recognition.streaming import RecognizerSettings, Result, StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder, WindowDecode
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Samples, Word

WANTED = RecognizerSettings()
WORD_EVERY_S = 0.35


class SlowScript(Script):
    """Takes a + b·window + c·tokens a decode, more with beams, times how slow the machine is at that time.

    Words that were said before are read, not decoded.
    """

    def __init__(self, words: list[Word], slowness: Callable[[float], float]) -> None:
        super().__init__(words, seed=5)
        self.busy_s = 0.0
        self._slowness = slowness

    def decode_window(
        self,
        samples: Samples,
        *,
        start_s: float,
        language: str,
        said: str = "",
        beam_size: int = 1,
        **options: Any,
    ) -> WindowDecode:
        decode = super().decode_window(samples, start_s=start_s, language=language, **options)
        decode = replace(decode, tokens=max(1, decode.tokens - len(said.split())))
        window_s = len(samples) / SAMPLE_RATE_HZ
        took_s = (0.05 + 0.012 * window_s + 0.012 * decode.tokens) * (1.0 + 0.15 * (beam_size - 1))
        self.busy_s += took_s * self._slowness(start_s + window_s)
        return decode


class Watched(StreamingRecognizer):
    """Notes after each step how it is paced and how much audio it holds."""

    def __init__(self, decoder: SlowScript, clock: VirtualClock) -> None:
        super().__init__(cast(WhisperDecoder, decoder), language="es", clock=clock)
        self.paces: list[tuple[float, RecognizerSettings]] = []
        self.most_pending_s = 0.0
        self.results: list[Result] = []

    def step(self) -> list[Result]:
        results = super().step()
        self.paces.append((self.heard_s, self._settings))
        self.most_pending_s = max(self.most_pending_s, self.pending_s)
        self.results += results
        return results


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a recording: each word's lateness, in order, and the recognizer."""

    late_s: list[float]
    recognizer: Watched
    words: list[Word]

    def p95_s(self, start: float = 0.0, end: float = 1.0) -> float:
        """Of a part of the words."""
        count = len(self.late_s)
        return float(np.quantile(self.late_s[round(start * count) : round(end * count)], 0.95))


def spoken(audio: Samples) -> list[Word]:
    """Words where the recording has speech, so that its pauses are pauses."""
    detector = SpeechDetector()
    events = [*detector.accept(audio), *detector.finish()]
    times: list[float] = []
    for began, ended in zip(events[::2], events[1::2], strict=True):
        assert isinstance(ended, SpeechEnded)
        times += list(np.arange(began.at_s + 0.3, ended.speech_end_s - 0.3, WORD_EVERY_S))
    texts = np.random.default_rng(3).choice(["uno", "dos", "tres", "cuatro", "cinco", "seis."], len(times))
    return [Word(f" {text}", float(t), float(t) + 0.3, 0.9) for text, t in zip(texts, times, strict=True)]


def play(audio: Samples, slowness: Callable[[float], float]) -> Run:
    words = spoken(audio)
    decoder = SlowScript(words, slowness)
    clock = VirtualClock(lambda: decoder.busy_s)
    recognizer = Watched(decoder, clock)
    late_s: list[float] = []
    final = 0
    for event in stream(recognizer, audio, chunk_ms=250, clock=clock):
        if event["event"] not in {"partial", "final"}:
            continue
        whole = event["event"] == "final"
        count = final + (len(event["words"]) if whole else event["committed"])
        late_s += [event["at_s"] - word.end_s for word in words[len(late_s) : count]]
        final = count if whole else final
    return Run(late_s, recognizer, words)


@pytest.fixture(scope="module")
def reading(two_cities: Samples) -> Samples:
    """88 s of speech with the pauses of a reader."""
    return np.concatenate((two_cities, two_cities))


@pytest.mark.requirement("O2", "O4")
@pytest.mark.parametrize(("slowness", "bound_s"), [(1.0, 2.5), (4.0, 6.0), (8.0, 12.0)])
def test_lateness_settles(reading: Samples, slowness: float, bound_s: float) -> None:
    """However slow the machine, words are late by a bounded time that doesn't grow, and none is lost."""
    run = play(reading, lambda _: slowness)
    assert said(check(run.recognizer.results)) == [word_key(word.text) for word in run.words]
    assert run.p95_s() <= bound_s
    assert np.mean(run.late_s[-80:]) <= np.mean(run.late_s[40:120]) * 1.3
    assert run.recognizer.slowed == (slowness > 1)


@pytest.mark.requirement("O2", "A1", "O4")
def test_the_wanted_settings_come_back(reading: Samples) -> None:
    """While the machine is slow decodes are fewer and windows shorter; after that, all is as before."""
    run = play(reading, lambda at_s: 6.0 if 20.0 < at_s < 50.0 else 1.0)
    during = [settings for at_s, settings in run.recognizer.paces if 26.0 < at_s < 50.0]
    assert all(settings.interval_s > WANTED.interval_s for settings in during)
    assert all(settings.max_window_s < WANTED.max_window_s for settings in during)
    others = [settings for at_s, settings in run.recognizer.paces if not 20.0 < at_s < 60.0]
    assert all(settings is others[0] for settings in others)
    assert others[0] == WANTED
    assert said(check(run.recognizer.results)) == [word_key(word.text) for word in run.words]
    assert run.p95_s(0.75) <= 2.5


@pytest.mark.requirement("O2")
def test_utterances_that_wait_are_decoded_together(two_cities: Samples) -> None:
    """Six short utterances that came during a long decode take fewer decodes, and nobody's words are lost."""
    piece, pause = two_cities[round(1.3 * SAMPLE_RATE_HZ) : 3 * SAMPLE_RATE_HZ], np.zeros(14_400, np.float32)
    audio = np.concatenate([part for _ in range(9) for part in (piece, pause)])
    decoder = SlowScript(spoken(audio), lambda _: 12.0)
    clock = VirtualClock(lambda: decoder.busy_s)
    recognizer = Watched(decoder, clock)
    late = len(audio) // 3
    with clock.computing(1.0):
        for at in range(0, late, 4_000):
            recognizer.accept_audio(audio[at : at + 4_000])
            recognizer.step()
        before = recognizer.statistics().decodes
        recognizer.accept_audio(audio[late:])
        recognizer.settle()
    assert said(check(recognizer.results)) == [word_key(word.text) for word in spoken(audio)]
    assert recognizer.statistics().decodes - before <= 3


def test_time_that_nobody_waited_for_slows_nothing(two_cities: Samples) -> None:
    """Sound stops when an utterance has become final without a decode, and goes on after an hour, at once."""
    piece, pause = two_cities[round(1.3 * SAMPLE_RATE_HZ) : 3 * SAMPLE_RATE_HZ], np.zeros(14_400, np.float32)
    decoder = SlowScript(spoken(np.concatenate((piece, pause))), lambda _: 1.0)
    clock = VirtualClock(lambda: decoder.busy_s)
    recognizer = Watched(decoder, clock)
    audio = np.concatenate((piece, pause))
    with clock.computing(1.0):
        for at in range(0, len(audio), 1_000):
            recognizer.accept_audio(audio[at : at + 1_000])
            before = recognizer.statistics().decodes
            if any(isinstance(result, Final) for result in recognizer.step()):
                break
        assert not recognizer.wants_step
        assert recognizer.statistics().decodes == before
        clock.wait_until(3_600.0)
        recognizer.accept_audio(piece)
        recognizer.step()
    assert recognizer.statistics().decodes == before + 1
    assert not recognizer.slowed


def paced(rates: list[float]) -> Pace:
    pace = Pace(WANTED)
    for rate in rates:
        pace.decoded(rate * work(5.0, 18, WANTED.beam_size), 5.0, 18, WANTED.beam_size)
    return pace


def test_one_dear_decode_decides_nothing() -> None:
    """A hiccup among decodes that cost what they should changes no setting."""
    assert not paced([1.0] * 8 + [3.0]).slowed
    assert paced([1.0] * 8 + [4.0] * 3).slowed


@pytest.mark.requirement("O2", "O4")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_that_was_borne_is_borne_again(profile: str) -> None:
    """Once the machine is as fast as it was, every profile's own settings are back in force."""
    wanted = RecognizerSettings.profile(profile)
    pace = Pace(wanted)
    for rate, slowed in ((1.0, False), (6.0, True), (1.0, False)):
        for _ in range(40):
            window_s, beam_size = pace.settings.max_window_s, pace.settings.beam_size
            tokens = round(3.5 * window_s)
            pace.decoded(rate * work(window_s, tokens, beam_size), window_s, tokens, beam_size)
        assert pace.slowed == slowed
    assert pace.settings is wanted


@given(st.floats(0.05, 40.0))
def test_an_even_machine_is_paced_evenly(rate: float) -> None:
    """Decodes that all take the same multiple lead to one pace, whatever they are then asked to do."""
    pace = Pace(WANTED)
    seen = []
    for _ in range(40):
        settings = pace.settings
        took_s = rate * work(settings.max_window_s, 20, settings.beam_size)
        pace.decoded(took_s, settings.max_window_s, 20, settings.beam_size)
        seen.append(pace.slowed)
    assert len(set(seen[20:])) == 1
    assert pace.load == pytest.approx(rate * paced([1.0]).load, rel=0.05)


@given(st.floats(1.0, 50.0))
def test_what_is_easier_is_never_more_work(load: float) -> None:
    """Under any load windows are no longer, searches narrower, and a word waits no less for the edge."""
    eased = easier(WANTED, load)
    assert eased.keep_s <= WANTED.keep_s
    assert eased.keep_s < eased.max_window_s <= WANTED.max_window_s
    assert eased.beam_size == eased.settle_beam_size == 1
    assert eased.policy.hold_s >= WANTED.policy.hold_s
    assert eased.endpointing == WANTED.endpointing

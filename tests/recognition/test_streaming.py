from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import word_key
from rtstt_lab.errors import LanguageError
from rtstt_lab.recognition.endpointing import EndpointingSettings
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.pacing import easier
from rtstt_lab.recognition.streaming import (
    RecognizerSettings,
    RecognizerStart,
    Result,
    StreamingRecognizer,
)
from rtstt_lab.recognition.whisper import WhisperDecoder, WindowDecode
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Hypothesis, Partial, Samples, Word

CHUNK = SAMPLE_RATE_HZ // 4


class Script:
    """Stands for the model: knows which words are said when, and mishears what lies near a window's edges.

    Each decode hears the words inside of its window; a word cut by the newest edge, or that ended less
    than 0.3 s before it, is misheard in a way that differs from decode to decode, as Whisper's are.
    """

    def __init__(self, words: list[Word], seed: int) -> None:
        self.model = LocalModel("script", Path(), "0", english_only=False)
        self._words = words
        self._random = np.random.default_rng(seed)

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        return {"es": 0.9, "en": 0.1}

    def decode_window(self, samples: Samples, *, start_s: float, language: str, **_: Any) -> WindowDecode:
        end_s = start_s + len(samples) / SAMPLE_RATE_HZ
        heard = [
            self._hear(w, end_s) for w in self._words if w.end_s > start_s + 0.1 and w.start_s < end_s - 0.05
        ]
        hypothesis = Hypothesis(tuple(heard), start_s, end_s, language, -0.2, 1.0, 0.1)
        return WindowDecode(hypothesis, len(heard), fell_back=False, looped=False, bounded=False)

    def _hear(self, word: Word, end_s: float) -> Word:
        shift_s = float(self._random.normal(0, 0.03))
        start_s = word.start_s + shift_s
        if word.end_s < end_s - 0.3 or end_s >= self._words[-1].end_s + 0.3:
            return Word(word.text, start_s, word.end_s + shift_s, 0.9)
        return Word(f" {self._random.integers(100, 999)}", start_s, min(word.end_s, end_s), 0.4)


def check(results: list[Result], first_segment: int = 0) -> list[Final]:
    """What every listener may rely on; returns the finals."""
    finals: list[Final] = []
    committed: tuple[Word, ...] = ()
    revision = 0
    for result in results:
        assert result.segment == first_segment + len(finals)
        assert result.words[: len(committed)] == committed
        if isinstance(result, Partial):
            assert result.revision == revision
            assert len(committed) <= result.committed <= len(result.words)
            committed, revision = result.words[: result.committed], revision + 1
        else:
            assert result.words
            finals.append(result)
            committed, revision = (), 0
    assert not committed
    words = [word for final in finals for word in final.words]
    assert all(a.start_s <= b.start_s for a, b in pairwise(words))
    return finals


def stream(recognizer: StreamingRecognizer, audio: Samples, chunk: int = CHUNK) -> Iterator[Result]:
    for at in range(0, len(audio), chunk):
        recognizer.accept_audio(audio[at : at + chunk])
        if recognizer.wants_step:
            yield from recognizer.step()
    yield from recognizer.settle()


def said(finals: list[Final]) -> list[str]:
    return [word_key(word.text) for final in finals for word in final.words]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1600, 4000, 8000, 16000, 48000]))
@settings(deadline=None, max_examples=10, phases=[Phase.explicit, Phase.generate])
def test_nothing_is_lost_repeated_or_taken_back(two_cities: Samples, seed: int, chunk: int) -> None:
    """Over a model that mishears the newest words, every word comes out once, and no promise is broken."""
    audio = two_cities[round(1.3 * SAMPLE_RATE_HZ) : 15 * SAMPLE_RATE_HZ]
    end_s = len(audio) / SAMPLE_RATE_HZ
    times = np.arange(0.1, end_s - 0.4, 0.35)
    vocabulary = np.random.default_rng(seed).choice(["uno", "dos", "tres", "cuatro.", "cinco"], len(times))
    words = [
        Word(f" {text}", float(t), float(t) + 0.3, 0.9) for text, t in zip(vocabulary, times, strict=True)
    ]
    decoder = cast(WhisperDecoder, Script(words, seed))
    no_pause = RecognizerSettings(endpointing=EndpointingSettings(pause_s=60.0))
    recognizer = StreamingRecognizer(
        decoder, settings=no_pause, language="es", start=RecognizerStart(first_segment=3)
    )
    finals = check(list(stream(recognizer, audio, chunk)), first_segment=3)
    assert said(finals) == [word_key(word.text) for word in words]
    assert recognizer.pending_s == 0.0
    assert recognizer.settled_s == pytest.approx(recognizer.heard_s, abs=0.4)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.5, 44.0), (25.5, 29.6)])
def test_a_word_that_does_not_end_holds_nothing_up(two_cities: Samples, start_s: float, end_s: float) -> None:
    """A tone that the model takes for one long word, or one across the longest window's cut, is got over."""
    audio = np.concatenate((two_cities, two_cities))[: 45 * SAMPLE_RATE_HZ]
    decoder = cast(WhisperDecoder, Script([Word(" mmm", start_s, end_s, 0.9)], 0))
    no_pause = RecognizerSettings(endpointing=EndpointingSettings(pause_s=60.0))
    recognizer = StreamingRecognizer(decoder, settings=no_pause, language="es")
    recognizer.accept_audio(audio)
    recognizer.end_utterance()
    results: list[Result] = []
    for _ in range(10):
        results += recognizer.step()
    assert not recognizer.wants_final
    assert recognizer.settled_s == pytest.approx(recognizer.heard_s, abs=0.4)
    assert said(check(results))


def test_a_reading_is_recognised_as_well_as_offline(tiny: WhisperDecoder, two_cities: Samples) -> None:
    """18 s in chunks of 250 ms: near offline, words early, nothing said twice at the cuts."""
    audio = two_cities[: 18 * SAMPLE_RATE_HZ]
    recognizer = StreamingRecognizer(tiny)
    results = list(stream(recognizer, audio))
    finals = check(results)
    text = " ".join(said(finals))
    offline = [word_key(word.text) for final in tiny.transcribe_offline(audio) for word in final.words]
    assert errors(offline, text.split()) <= 0.06 * len(offline)
    assert text.split()[-2:] == offline[-2:]
    committed_early = [r for r in results if isinstance(r, Partial) and r.committed]
    assert len(committed_early) > 5
    assert recognizer.statistics().loops <= 2


def errors(reference: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for word in reference:
        fresh = [row[0] + 1]
        for column, other in enumerate(heard):
            fresh.append(min(row[column] + (word != other), row[column + 1] + 1, fresh[column] + 1))
        row = fresh
    return row[-1]


def test_the_last_words_survive_a_stop_in_mid_sentence(base: WhisperDecoder, two_cities: Samples) -> None:
    """The audio ends right after a word: that word is in the last final, and the language was detected."""
    recognizer = StreamingRecognizer(base)
    finals = check(list(stream(recognizer, two_cities[: round(4.5 * SAMPLE_RATE_HZ)])))
    assert said(finals)[-4:] == ["the", "worst", "of", "times"]
    assert recognizer.language == "en"


def test_silence_and_noise_invent_nothing(base: WhisperDecoder) -> None:
    """10 s of silence and 10 s of noise give no result at all, cost no decode, and are disposed of."""
    recognizer = StreamingRecognizer(base)
    noise = np.random.default_rng(2).normal(0, 0.004, 10 * SAMPLE_RATE_HZ).astype(np.float32)
    audio = np.concatenate((np.zeros(10 * SAMPLE_RATE_HZ, np.float32), noise))
    assert not list(stream(recognizer, audio))
    assert recognizer.statistics().decodes == 0
    assert recognizer.settled_s == pytest.approx(20.0, abs=0.5)


def test_a_session_taken_up_again_goes_on(tiny: WhisperDecoder, two_cities: Samples) -> None:
    """A second recognizer that starts at the first one's mark continues its clock and its numbers."""
    first = StreamingRecognizer(tiny)
    results: list[Result] = []
    for at in range(0, 8 * SAMPLE_RATE_HZ, CHUNK):
        first.accept_audio(two_cities[at : at + CHUNK])
        results += first.step()
    mark_s, spoken = first.settled_s, [r for r in results if isinstance(r, Final)]
    committed = next((r for r in reversed(results) if isinstance(r, Partial)), None)
    assert 2.0 < mark_s < first.heard_s
    assert committed is not None
    words = (*(w for final in spoken for w in final.words), *committed.words[: committed.committed])
    from_s = mark_s - 3.0
    start = RecognizerStart(mark_s, from_s, len(spoken) + 1, words)
    second = StreamingRecognizer(tiny, start=start)
    finals = check(
        list(stream(second, two_cities[round(from_s * SAMPLE_RATE_HZ) : 12 * SAMPLE_RATE_HZ])),
        len(spoken) + 1,
    )
    before = said(spoken) + [word_key(w.text) for w in committed.words[: committed.committed]]
    offline = [
        word_key(w.text) for f in tiny.transcribe_offline(two_cities[: 12 * SAMPLE_RATE_HZ]) for w in f.words
    ]
    assert errors(offline, before + said(finals)) <= 4
    assert finals[0].words[0].start_s >= mark_s
    assert second.heard_s == pytest.approx(12.0, abs=1e-3)


def test_audio_may_come_in_while_a_step_runs(tiny: WhisperDecoder, two_cities: Samples) -> None:
    """Feeding from one thread and decoding in another gives the same promises."""
    recognizer = StreamingRecognizer(tiny)
    audio = two_cities[: 10 * SAMPLE_RATE_HZ]

    def feed() -> None:
        for at in range(0, len(audio), CHUNK):
            recognizer.accept_audio(audio[at : at + CHUNK])

    feeder = threading.Thread(target=feed)
    feeder.start()
    results: list[Result] = []
    while feeder.is_alive() or recognizer.wants_step:
        results += recognizer.step()
    feeder.join()
    assert check(results + recognizer.settle())
    assert recognizer.heard_s == 10.0


def test_a_language_that_the_model_does_not_know_is_refused(tiny: WhisperDecoder) -> None:
    """An English-only model takes no Spanish session."""
    with pytest.raises(LanguageError):
        StreamingRecognizer(tiny, language="es")


def test_the_profiles_lie_along_the_trade() -> None:
    """Fast costs less than balanced, accurate more; any other name is refused."""
    fast, balanced, accurate = (RecognizerSettings.profile(name) for name in ("fast", "balanced", "accurate"))
    assert balanced == RecognizerSettings()
    assert fast.max_window_s < balanced.max_window_s < accurate.max_window_s
    with pytest.raises(KeyError):
        RecognizerSettings.profile("furious")


def test_sounds_without_words_keep_the_window_short(two_cities: Samples) -> None:
    """What sounds like speech and holds no words says nothing, stays in short windows and is disposed of."""
    decoder = cast(WhisperDecoder, Script([Word(" nunca", 90.0, 91.0, 0.9)], 1))
    no_pause = RecognizerSettings(endpointing=EndpointingSettings(pause_s=60.0))
    recognizer = StreamingRecognizer(decoder, settings=no_pause, language="es")
    assert not list(stream(recognizer, two_cities))
    statistics = recognizer.statistics()
    assert statistics.decoded_s / statistics.decodes <= no_pause.max_window_s + 1
    assert recognizer.pending_s == 0.0


def test_audio_that_waited_is_caught_up_with(two_cities: Samples) -> None:
    """When all of the audio came before the first step, nothing of it is lost."""
    audio = two_cities[: 40 * SAMPLE_RATE_HZ]
    words = [Word(f" {i}", 1.5 + 0.4 * i, 1.8 + 0.4 * i, 0.9) for i in range(94)]
    no_pause = RecognizerSettings(endpointing=EndpointingSettings(pause_s=60.0))
    recognizer = StreamingRecognizer(cast(WhisperDecoder, Script(words, 4)), settings=no_pause, language="es")
    recognizer.accept_audio(audio)
    assert recognizer.pending_s == pytest.approx(40 - recognizer.settled_s, abs=0.01)
    finals = check(recognizer.settle())
    assert said(finals) == [str(i) for i in range(94)]


def test_utterances_that_waited_are_all_heard(base: WhisperDecoder, beckett: Samples) -> None:
    """Short sentences that come at once to a machine that is too slow are joined, and none is left out."""
    recognizer = StreamingRecognizer(base, settings=easier(RecognizerSettings(), load=1.5), language="en")
    recognizer.accept_audio(np.concatenate((beckett, beckett)))
    heard = said(check(recognizer.settle()))
    assert heard.count("ever") == 4
    assert heard.count("again") == 4
    assert heard.count("better") == 2


def test_a_window_that_fails_can_be_skipped(two_cities: Samples) -> None:
    """After `skip` the promised words are final, the failed window is left behind, and speech goes on."""
    words = [Word(f" {i}", 1.5 + 0.4 * i, 1.8 + 0.4 * i, 0.9) for i in range(30)]
    no_pause = RecognizerSettings(endpointing=EndpointingSettings(pause_s=60.0))
    recognizer = StreamingRecognizer(cast(WhisperDecoder, Script(words, 5)), settings=no_pause, language="es")
    results: list[Result] = []
    for at in range(0, 14 * SAMPLE_RATE_HZ, CHUNK):
        recognizer.accept_audio(two_cities[at : at + CHUNK])
        results += recognizer.skip() if at == 24 * CHUNK else recognizer.step()
        assert at < 25 * CHUNK or recognizer.settled_s >= 6.0
    heard = said(check(results + recognizer.settle()))
    assert heard == sorted(heard, key=int)
    assert len(set(heard)) == len(heard) >= 25
    assert heard[-1] == "29"

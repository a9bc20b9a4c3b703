from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import word_key
from rtstt_lab.errors import LanguageError, ModelNotFoundError
from rtstt_lab.recognition.guards import compression_ratio, token_bound, without_loop
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.whisper import DecoderOptions, WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, text_of


@pytest.fixture(scope="module")
def sentence(two_cities: Samples) -> Samples:
    """About 5 s: "It was the best of times, it was the worst of times"."""
    return two_cities[SAMPLE_RATE_HZ : 6 * SAMPLE_RATE_HZ]


def test_a_short_window_is_recognised_with_times_and_probabilities(
    tiny: WhisperDecoder, sentence: Samples
) -> None:
    """The text is right, and each word has its place on the session's clock and a probability."""
    hypothesis = tiny.decode_window(sentence, start_s=100.0, language="en", beam_size=3).hypothesis
    assert text_of(hypothesis.words).lower().startswith("it was the best of times")
    assert (hypothesis.start_s, hypothesis.end_s) == (100.0, 105.0)
    assert all(word.text.startswith(" ") for word in hypothesis.words)
    assert all(100.0 <= word.start_s <= word.end_s <= 105.0 for word in hypothesis.words)
    assert all(0 < word.probability <= 1 for word in hypothesis.words)
    starts = [word.start_s for word in hypothesis.words]
    assert starts == sorted(starts)


def test_the_short_window_says_what_the_padded_one_says(base: WhisperDecoder, sentence: Samples) -> None:
    """Without the silence after it a short window loops; with it the text is that of a window of 30 s."""
    short = base.decode_window(sentence, start_s=0.0, language="en", beam_size=5)
    whole = np.zeros(29 * SAMPLE_RATE_HZ, np.float32)
    whole[: len(sentence)] = sentence
    padded = base.decode_window(whole, start_s=0.0, language="en", beam_size=5).hypothesis
    assert (short.looped, short.bounded) == (False, False)
    assert [word_key(w.text) for w in short.hypothesis.words] == [word_key(w.text) for w in padded.words]


def test_silence_gives_no_words(base: WhisperDecoder, tiny: WhisperDecoder) -> None:
    """What a model invents on a silent window is told by its own figures and dropped."""
    for decoder in (base, tiny):
        assert not decoder.decode_window(
            np.zeros(4 * SAMPLE_RATE_HZ, np.float32), start_s=0.0, language="en"
        ).hypothesis.words


def test_the_language_is_detected(base: WhisperDecoder, tiny: WhisperDecoder, sentence: Samples) -> None:
    """A multilingual model hears English; an English-only one is never asked."""
    probabilities = base.language_probabilities(sentence)
    assert max(probabilities, key=lambda code: probabilities[code]) == "en"
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=0.01)
    assert base.decode_window(sentence, start_s=0.0, language=None).hypothesis.language == "en"
    assert tiny.language_probabilities(sentence) == {"en": 1.0}


def test_the_prompt_tells_the_spelling(base: WhisperDecoder, sentence: Samples) -> None:
    """What the user gives as prompt shapes the text, and a long one is cut to what the model can take."""
    plain = text_of(base.decode_window(sentence, start_s=0.0, language="en").hypothesis.words)
    prompt = "IT WAS THE END OF AN ERA. EVERYTHING HERE IS SHOUTED, ALL OF IT. " * 12
    assert (
        text_of(base.decode_window(sentence, start_s=0.0, language="en", prompt=prompt).hypothesis.words)
        != plain
    )


def test_sessions_may_decode_at_once(tiny: WhisperDecoder, sentence: Samples) -> None:
    """Four threads on one model all get what one alone gets."""
    alone = tiny.decode_window(sentence, start_s=0.0, language="en").hypothesis
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda _: tiny.decode_window(sentence, start_s=0.0, language="en").hypothesis, range(4))
        )
    assert [text_of(h.words) for h in together] == [text_of(alone.words)] * 4


def test_a_window_that_is_too_long_is_refused(tiny: WhisperDecoder) -> None:
    """The encoder has positions for 30 s."""
    with pytest.raises(ValueError, match="longer than"):
        tiny.decode_window(np.zeros(30 * SAMPLE_RATE_HZ, np.float32), start_s=0.0, language="en")


def test_offline_refuses_a_language_that_the_model_does_not_know(tiny: WhisperDecoder) -> None:
    """An English-only model is not made to guess at Spanish."""
    with pytest.raises(LanguageError):
        tiny.transcribe_offline(np.zeros(SAMPLE_RATE_HZ, np.float32), language="es")


def test_the_signature_names_device_and_type(tiny: WhisperDecoder) -> None:
    """What figures are printed with."""
    assert tiny.device in {"cpu", "cuda"}
    assert "int8" in tiny.compute_type or "float16" in tiny.compute_type
    assert tiny.model.name == "tiny.en"


@pytest.mark.parametrize(
    ("device", "compute_type"), [("cpu", "float17"), ("abacus", "int8"), ("cuda", "auto")]
)
def test_what_cannot_be_loaded_says_what_to_try(tiny: WhisperDecoder, device: str, compute_type: str) -> None:
    """A device or a type that does not exist here ends in an error that names a way that works."""
    if device == "cuda" and ctranslate2.get_cuda_device_count():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelNotFoundError, match="--device cpu --compute-type int8"):
        WhisperDecoder.load(tiny.model, DecoderOptions(device=device, compute_type=compute_type))


def test_a_folder_without_a_model_cannot_be_loaded(tmp_path: Path) -> None:
    """An empty folder is not a model."""
    with pytest.raises(ModelNotFoundError):
        WhisperDecoder.load(LocalModel("nothing", tmp_path, "0", english_only=True))


tokens = st.lists(st.integers(0, 50_000), unique=True, max_size=12)


@given(before=tokens, pattern=tokens.filter(bool), times=st.integers(8, 12), after=tokens)
@settings(deadline=None)
def test_a_loop_is_cut_after_its_first_round(
    before: list[int], pattern: list[int], times: int, after: list[int]
) -> None:
    """What comes round and round is said once."""
    before = [token for token in before if token not in pattern]
    assert without_loop(before + pattern * times + after) == before + pattern


@given(tokens)
@settings(deadline=None)
def test_a_text_that_does_not_loop_is_left_alone(text: list[int]) -> None:
    """Neither a text without repetitions nor one with a word said thrice is touched."""
    assert without_loop(text) == text
    assert without_loop([1, 1, 1, *text]) == [1, 1, 1, *text]


def test_bounds_and_ratios() -> None:
    """Longer speech may have more tokens; repetition compresses well."""
    assert token_bound(2.0, "es") < token_bound(4.0, "es")
    assert compression_ratio("") == 0.0
    assert compression_ratio("una y otra vez " * 20) > 2.4 > compression_ratio("Era el mejor de los tiempos.")

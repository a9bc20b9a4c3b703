"""Times of words: where long recordings are cut, and what pauses do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rtstt_lab.errors import RecognitionError
from rtstt_lab.recognition.alignment import MAX_PIECE_S, TextAligner, cut_pieces, least_speech_s
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.replay.corpus import Corpus, load_audio, timings_of
from rtstt_lab.types import SAMPLE_RATE_HZ, Word


def test_pieces_are_cut_at_gaps_between_agreed_words() -> None:
    """Each fits the encoder, words and audio are cut at the same place, and misheard words are no cut."""
    words = [f"word{number}" for number in range(50)]
    heard = [Word(word, start, start + 0.8, 0.9) for word, start in zip(words, range(50), strict=True)]
    heard[20] = Word("noise", 20.0, 20.8, 0.9)
    pieces = cut_pieces(np.zeros(50 * SAMPLE_RATE_HZ, np.float32), words, heard)
    assert [word for piece in pieces for word in piece.words] == words
    assert (pieces[0].start_s, pieces[-1].end_s) == (0.0, 50.0)
    for piece, following in pairwise(pieces):
        assert piece.end_s == following.start_s
        assert piece.end_s - piece.start_s <= MAX_PIECE_S
        first = int(following.words[0].removeprefix("word"))
        assert first - 0.35 <= following.start_s <= first + 0.15
        assert 20 not in {first, first - 1}


@pytest.mark.parametrize(
    ("language", "text", "least_s"),
    [
        ("en", "It is five o'clock.", 0.4),
        ("ko", "지금은 다섯 시입니다.", 0.3),
        ("zh", "现在是五点，我们走吧。", 0.36),
        ("ja", "今は五時です。", 0.24),
        ("th", "ตอนนี้ห้าโมงเย็น", 0.48),
    ],
)
def test_a_text_takes_its_time_with_or_without_spaces(language: str, text: str, least_s: float) -> None:
    """Words count where spaces part them; elsewhere letters, without signs and the marks on them."""
    assert least_speech_s(text.split(), language) == pytest.approx(least_s)


def test_another_text_is_refused() -> None:
    """A text of which nothing is heard cannot be cut, and says so."""
    heard = [Word("other", start, start + 0.8, 0.9) for start in range(50)]
    with pytest.raises(RecognitionError):
        cut_pieces(np.zeros(50 * SAMPLE_RATE_HZ, np.float32), ["something"] * 50, heard)


def test_a_long_pause_swallows_no_words() -> None:
    """Words around five seconds of silence keep their own times."""
    (recording,) = Corpus.words("en")
    timings, samples = timings_of(recording)[:6], load_audio(recording)
    seam = round((timings[3].start_s - 0.2) * SAMPLE_RATE_HZ)
    last = round((timings[-1].end_s + 0.3) * SAMPLE_RATE_HZ)
    pause = np.zeros(5 * SAMPLE_RATE_HZ, np.float32)
    aligner = TextAligner(ModelStore().resolve("base"))
    parted = np.concatenate((samples[:seam], pause, samples[seam:last]))
    words = aligner.align_text(parted, " ".join(timing.text for timing in timings), "en")
    ends_s = [timing.end_s + (5.0 if number >= 3 else 0.0) for number, timing in enumerate(timings)]
    assert [word.end_s for word in words] == pytest.approx(ends_s, abs=0.05)


def test_words_around_a_noisy_pause_keep_their_times() -> None:
    """Where noise fills all pauses, no level tells them: voice activity does."""
    (recording,) = Corpus.words("en")
    timings, samples = timings_of(recording)[:6], load_audio(recording)
    seam = round((timings[3].start_s - 0.2) * SAMPLE_RATE_HZ)
    last = round((timings[-1].start_s - 0.2) * SAMPLE_RATE_HZ)
    pause = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    parted = np.concatenate((samples[:seam], pause, samples[seam:last]))
    noise = np.random.default_rng(1).normal(0, 10 ** (-40 / 20), len(parted)).astype(np.float32)
    aligner = TextAligner(ModelStore().resolve("base"))
    words = aligner.align_text(parted + noise, " ".join(timing.text for timing in timings[:5]), "en")
    for number, (word, timing) in enumerate(zip(words, timings, strict=False)):
        later_s = 2.0 if number >= 3 else 0.0
        assert word.start_s == pytest.approx(timing.start_s + later_s, abs=0.12)
        assert word.end_s == pytest.approx(timing.end_s + later_s, abs=0.08)

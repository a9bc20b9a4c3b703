"""Error rates against jiwer and hand-computed cases."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.analysis import wer

ENGLISH, SPANISH = wer.normalizer("en"), wer.normalizer("es")
sentences = st.lists(st.sampled_from(["uno", "dos", "tres", "cuatro"]), min_size=1, max_size=8).map(" ".join)


def test_edits_by_kind() -> None:
    """One word swapped, one left out, one put in."""
    got = wer.word_errors("one cat sat upon the old mat", "so one bat sat upon old mat", SPANISH)
    assert (got.reference, got.substitutions, got.deletions, got.insertions) == (7, 1, 1, 1)
    assert got.rate == pytest.approx(3 / 7)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=5))
def test_pooled_rates_are_jiwers(pairs: list[tuple[str, str]]) -> None:
    """Pooled WER and CER agree with jiwer's over the same utterances."""
    rng = np.random.default_rng(0)
    references, hypotheses = map(list, zip(*pairs, strict=True))
    words = wer.error_rate([wer.word_errors(r, h, SPANISH) for r, h in pairs], SPANISH.name, rng)
    letters = wer.error_rate([wer.character_errors(r, h, SPANISH) for r, h in pairs], SPANISH.name, rng)
    assert words.pooled.value == pytest.approx(jiwer.wer(references, hypotheses))
    assert letters.pooled.value == pytest.approx(jiwer.cer(references, hypotheses))
    assert words.mean == pytest.approx(np.mean([jiwer.wer(r, h) for r, h in pairs]))


def test_normalisers() -> None:
    """English contractions are opened; Spanish keeps its diacritics; a normaliser moves WER by points."""
    assert ENGLISH("Mr. Smith's colour isn't") == "mister smith is color is not"
    assert SPANISH("¿Qué MAÑANA, pingüino?") == "qué mañana pingüino"
    assert wer.word_errors("I'm twenty one", "I am 21", ENGLISH).edits == 0
    assert wer.word_errors("I'm twenty one", "I am 21", SPANISH).rate == 0.75
    assert ENGLISH.name.startswith("whisper-english-")


def test_words_in_silence_are_insertions_without_a_rate() -> None:
    """Non-speech has no WER; what is said there is counted, and left out of the pooled rate."""
    silence = wer.word_errors("", "thank you", ENGLISH)
    assert (silence.insertions, silence.reference) == (2, 0)
    assert np.isnan(silence.rate)
    rate = wer.error_rate(
        [silence, wer.word_errors("a b", "a", ENGLISH)], ENGLISH.name, np.random.default_rng(0)
    )
    assert (rate.pooled.value, rate.deletions, rate.utterances) == (0.5, 0.5, 1)
    assert np.isnan(wer.error_rate([silence], ENGLISH.name, np.random.default_rng(0)).pooled.value)


def test_paired_difference() -> None:
    """Equal systems differ by 0 with certainty; a worse one by what it does worse."""
    pairs = [("a b c d", "a b c d"), ("a b c d", "a b x d"), ("a b", "a")]
    ours = [wer.word_errors(r, h, SPANISH) for r, h in pairs]
    same = wer.paired_difference(ours, ours, np.random.default_rng(0))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    perfect = [wer.word_errors(r, r, SPANISH) for r, _ in pairs]
    assert wer.paired_difference(ours, perfect, np.random.default_rng(0)).value == pytest.approx(0.2)

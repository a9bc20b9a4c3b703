"""Reference times against words at exactly known times."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtstt_lab.lab.bench.reference import ReferenceTimes, joined_ends_s
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.replay.corpus import Corpus, Timing, timings_of


def test_words_apart_are_found_within_50_ms_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starts and ends of made words with pauses between them; the second time no model is asked."""
    (recording,) = Corpus.words("en")
    found = ReferenceTimes(ModelStore(), tmp_path).of(recording)
    timings = timings_of(recording)
    assert found["word"].tolist() == [timing.text for timing in timings]
    assert found["end_s"].tolist() == pytest.approx([timing.end_s for timing in timings], abs=0.05)
    assert found["start_s"].tolist() == pytest.approx([timing.start_s for timing in timings], abs=0.05)

    again = ReferenceTimes(ModelStore(), tmp_path)
    monkeypatch.setattr(type(again), "_aligner", property(lambda _: pytest.fail("aligned twice")))
    assert again.of(recording).equals(found)


def test_joined_words_end_where_their_lengths_say() -> None:
    """0.3 s of silence, then the lengths of the words one after the other."""
    timings = (Timing("a", 1.0, 1.5), Timing("b", 3.0, 3.25))
    assert joined_ends_s(timings) == pytest.approx([0.8, 1.05])

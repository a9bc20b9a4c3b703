"""How the benchmark of windows cuts recordings, and what it makes of decodes."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from benchmarks.windows import Decoded, cuts, report
from hypothesis import given, settings
from hypothesis import strategies as st

gaps = st.lists(
    st.tuples(st.floats(0.0, 2.0), st.floats(0.05, 0.9)), min_size=1, max_size=60
)  # pause before, length of the word


def words_of(spans):
    """A table of words with these pauses and lengths."""
    rows, at_s = [], 0.0
    for number, (pause_s, length_s) in enumerate(spans):
        rows.append((f"w{number}", at_s + pause_s, at_s + pause_s + length_s))
        at_s += pause_s + length_s
    return pd.DataFrame(rows, columns=["word", "start_s", "end_s"])


@settings(deadline=None)
@given(gaps, st.sampled_from([2.0, 6.0, 28.0]))
def test_windows_hold_every_word_once(spans, length_s):
    """In order, whole, in windows that neither overlap nor are longer than asked."""
    words = words_of(spans)
    windows = cuts(words, length_s)
    assert " ".join(text for _, _, text in windows).split() == list(words["word"])
    for start_s, end_s, text in windows:
        own = words[words["word"].isin(text.split())]
        assert start_s <= own["start_s"].iloc[0]
        assert own["end_s"].iloc[-1] <= end_s
        assert end_s - start_s <= length_s + 1e-6
    for (_, end_s, _), (start_s, _, _) in pairwise(windows):
        assert end_s <= start_s + 1e-6


def test_figures_of_decodes():
    """Errors and costs are pooled; windows that looped say nothing about how many tokens speech takes."""
    sound = Decoded("en", 6.0, 400, 4.0, 0.4, 12, False, False, "the red fox", "the read fox")
    loop = Decoded("en", 6.0, 400, 2.0, 0.8, 28, True, True, "dog", "dog")
    made = report([sound, loop], {})
    (curve,) = made["curves"]
    assert curve["wer"] == pytest.approx(0.25)
    assert curve["cpu_per_window_s"] == pytest.approx(0.6)
    assert curve["cpu_per_audio_s"] == pytest.approx(0.2)
    assert (curve["looped"], curve["bounded"]) == (0.5, 0.5)
    assert made["tokens_per_s"]["en"] == {"windows": 1, "p50": 3.0, "p99": 3.0, "max": 3.0, "over": 0.5}

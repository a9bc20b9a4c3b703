"""What the comparison with another aligner counts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.aligners import Heard, Sphinx, compare, in_pauses_s, spread, unspoken_s

from benchmarks import aligners
from rtstt_lab.recognition.endpointing import FRAME_SAMPLES
from rtstt_lab.replay.corpus import Corpus, load_audio, timings_of
from rtstt_lab.types import SAMPLE_RATE_HZ

WORDS = pd.DataFrame(
    [("one", 0.0, 0.5), ("two", 0.5, 1.0), ("three", 1.0, 2.0), ("four", 2.0, 2.5), ("five", 2.5, 3.0)],
    columns=["word", "start_s", "end_s"],
)


def test_words_beside_an_unknown_one_are_not_compared() -> None:
    """The unknown one shares its boundaries with them; differences are ours less theirs."""
    heard = [Heard(a + 0.1, b + 0.2, word != "four") for word, a, b in WORDS.itertuples(index=False)]
    compared = compare(WORDS, heard)
    assert list(compared.index) == [0, 1]
    assert compared["start_s"].to_numpy() == pytest.approx(-0.1)
    assert compared["end_s"].to_numpy() == pytest.approx(-0.2)


def test_time_in_pauses_is_what_words_share_with_them() -> None:
    """Gaps of 0.3 s and more count, by either ear."""
    spans_s = [(0.0, 0.5), (0.6, 1.0), (1.6, 2.0), (2.0, 2.5), (2.5, 3.0)]
    assert in_pauses_s(WORDS, [Heard(a, b, True) for a, b in spans_s]) == pytest.approx(0.6)
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    probabilities = np.ones(round(3.2 / frame_s), np.float32)
    probabilities[0:5] = 0.0
    probabilities[50:75] = 0.0
    assert unspoken_s(WORDS, probabilities) == pytest.approx(25 * frame_s)


def test_a_spread_is_of_signed_and_of_absolute_differences() -> None:
    """Mean and median keep the sign; the percentile and the count do not."""
    assert spread(pd.Series([-1.0, 0.0, 0.2, 0.4])) == {
        "mean_s": -0.1,
        "median_s": 0.1,
        "p95_off_s": 0.91,
        "off_0_3_s": 2,
        "n": 4,
    }


def test_without_pocketsphinx_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with the command, and writes nothing."""
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.setattr(sys, "argv", ["aligners", "--json", str(tmp_path / "report.json")])
    with pytest.raises(SystemExit) as ended:
        aligners.main()
    assert ended.value.code == 2
    assert aligners.INSTALL in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("pocketsphinx") is None, reason="PocketSphinx is not installed")
def test_pocketsphinx_hears_made_words_where_they_are() -> None:
    """Words that it lacks are spelled, and marked; compounds are one word."""
    (recording,) = Corpus.words("en")
    timings = timings_of(recording)
    texts = ["Kitchen-window,", *(timing.text for timing in timings[2:-1]), "mountayn."]
    heard = Sphinx().align(load_audio(recording), texts)
    assert [each.known for each in heard] == [True] * (len(texts) - 1) + [False]
    ends_s = [timing.end_s for timing in timings[1:]]
    assert [each.end_s for each in heard] == pytest.approx(ends_s, abs=0.2)

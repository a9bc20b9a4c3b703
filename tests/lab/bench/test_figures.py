"""Figures of two sessions that were written down by hand, so that each can be computed on paper."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench import figures, report
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import Heard, chunk_events, view_event
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.types import Final, Partial, Word

ONE, TWO, THREE = (
    Word(text, start_s, end_s, 0.9)
    for text, start_s, end_s in ((" one", 0.0, 0.5), (" house", 0.5, 1.0), (" fell", 1.0, 1.5))
)
REFERENCES = {
    "clip": pd.DataFrame(
        {"word": ["one", "house", "fell"], "start_s": [0.0, 0.5, 1.0], "end_s": [0.5, 1.0, 1.5]}
    )
}


def recorded(name: str = "clip", reference: str = "One house fell.", duration_s: float = 2.0) -> Recording:
    return Recording(name, "en", reference, duration_s, "", "", "", "read", "/nowhere")


def streamed() -> Clip:
    """Shows "one horse", then changes the second word, commits two and ends with two."""
    horse = Word(" horse", 0.5, 1.0, 0.4)
    events = [
        *chunk_events(0, 0.0, 2.0),
        view_event(Partial(0, 0, (ONE, horse), 0, 1.0), 1.2),
        view_event(Partial(0, 1, (ONE, TWO), 2, 1.5), 1.7),
        view_event(Final(0, (ONE, TWO), 2.0, "en"), 2.5),
    ]
    return Clip(recorded(), Heard(events, cpu_s=1.0, rss_mb=300.0))


def test_figures_of_a_session_by_hand() -> None:
    """Two of three words: a deletion, a word without latency, one word changed."""
    got = figures.speech_figures([streamed()], REFERENCES)
    assert got["wer"] == got["deletions"] == pytest.approx(1 / 3, abs=1e-4)
    assert got["final_latency_s"]["mean"] == pytest.approx((1.2 + 0.7) / 2)
    assert (got["final_latency_s"]["n"], got["final_latency_s"]["missing"]) == (2, 1)
    assert got["first_shown_latency_s"]["mean"] == pytest.approx((0.7 + 0.7) / 2)
    assert got["end_latency_s"] == pytest.approx(1.0)
    assert got["worst_gap_s"] == pytest.approx(1.5)
    assert got["unstable_ratio"] == pytest.approx(0.5)
    assert got["cpu_per_audio_s"] == 0.5
    assert got["cpu_per_audio_s_long"] is None


def test_a_failure_counts_as_nothing_said() -> None:
    """Its words are deletions and have no latency; its cost is unknown and not zero."""
    failed = Clip(recorded(), None, "it broke")
    got = figures.speech_figures([failed], REFERENCES)
    assert (got["wer"], got["deletions"], got["failures"]) == (1.0, 1.0, 1)
    assert got["final_latency_s"]["missing"] == 3
    assert got["cpu_per_audio_s"] is None


def test_words_on_nonspeech_are_invented() -> None:
    """Every word there counts, per minute too."""
    silent = Clip(recorded(reference="", duration_s=30.0), streamed().heard)
    got = figures.nonspeech_figures([silent])
    assert (got["hallucinated_words"], got["hallucinated_words_per_min"]) == (2, 4.0)


def test_systems_are_compared_on_the_same_recordings() -> None:
    """One word of three more is 33 points; CPU is compared on long recordings only."""
    right = Heard([view_event(Final(0, (ONE, TWO, THREE), 2.0, "en"), 2.2)], cpu_s=0.5, rss_mb=200.0)
    got = figures.compare([streamed()], [Clip(recorded(), right)])
    assert got["wer_difference"] == pytest.approx(1 / 3, abs=1e-4)
    assert got["wer_within_1_point"] is False
    assert (got["cpu"], got["cpu_all"]) == (None, 2.0)


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    """What stands around it stays; without markers nothing is written."""
    own = figures.speech_figures([streamed()], REFERENCES)
    system = {**own, "by_language": {"en": own}, "hallucinated_words": 0, "rss_mb": 300.0}
    measured = {
        "systems": {"offline": system, "streaming": system},
        "ratios": figures.compare([streamed()], [streamed()]),
        "failures": [],
        "path": "recognizer",
        "slowdown": 1.0,
        "signature": {"chunk_ms": 250},
    }
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    report.write_table(page, measured)
    text = page.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| WER | 33.3 % |" in text
    assert "old" not in text
    page.write_text("nothing", "utf-8")
    with pytest.raises(UsageError):
        report.write_table(page, measured)

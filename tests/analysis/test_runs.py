"""Runs: loading, filtering, putting together."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtstt_lab import records
from rtstt_lab.analysis.runs import Run, Runs


@pytest.mark.requirement("C6")
def test_runs_become_tidy_frames(clean: Run, interrupted: Run) -> None:
    """Tables of several runs are one frame with a column ``run``; meta is one row a run."""
    runs = Runs([clean, interrupted])
    words = runs.table("words")
    assert words.groupby("run").size().to_dict() == {"clean": 6, "cut": 6}
    assert list(words.columns)[1:] == [column.name for column in records.SCHEMA["words"]]
    assert list(runs.meta.index) == ["clean", "cut"]
    assert Runs().table("chunks").empty


def test_runs_are_filtered_grouped_and_joined(clean: Run, interrupted: Run) -> None:
    """By values of meta, by a condition; a second run of one name gets a number."""
    runs = Runs([clean]) + Runs([interrupted, clean])
    assert [run.id for run in runs] == ["clean", "cut", "clean-2"]
    assert len(runs.filter(model="tiny.en")) == 3
    assert [run.id for run in runs.filter(lambda run: bool(run.outages))] == ["cut"]
    assert {name: len(group) for name, group in runs.by("model").items()} == {"tiny.en": 3}
    assert "cut" in repr(runs)


def test_figures_of_one_run(clean: Run, interrupted: Run) -> None:
    """What a run says of itself, by hand: half a second late, and as late as the link was down."""
    assert clean.word_latencies()["latency_s"].tolist() == pytest.approx([0.5] * 6)
    assert interrupted.word_latencies()["latency_s"].max() == pytest.approx(3.4 - 0.5)
    assert clean.end_latency_s() == pytest.approx(0.5)
    assert clean.worst_gap_s() == pytest.approx(1.0)
    assert clean.cpu_per_audio_s() == 0.5
    assert clean.text == "w0 w1 w2 w3 w4 w5"
    m1 = clean.partial_latencies()
    assert m1.loc[m1["speech"], "latency_s"].tolist() == pytest.approx([0.5] * 6)
    assert not m1["covered"][7]
    assert interrupted.outages == [(1.0, 3.4)]
    assert clean.ledger.balanced()


def test_runs_are_found_below_a_folder(tmp_path: Path) -> None:
    """Every folder with a meta.json is a run; the id is meta's."""
    for name in ("b", "a"):
        records.RunWriter(tmp_path / "deep" / name, {"run": name}).close()
    assert [run.id for run in Runs.load(tmp_path)] == ["a", "b"]
    assert Runs.load(tmp_path)["a"].tables["words"].empty

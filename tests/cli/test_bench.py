"""``rtstt bench``: a real model on a real recording, through the recognizer alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtstt_lab.recognition.policy import POLICIES

from .conftest import Run


def test_streaming_is_measured_beside_offline(rtstt: Run, tmp_path: Path) -> None:
    """Every key of the report is there, for both systems; its decodes can be scored under every policy."""
    done = rtstt(
        *("bench", "streaming", "--path", "recognizer", "--model", "tiny.en"),
        *("--ids", "en_beckett", "--json", "out/bench.json", "--log", "decodes"),
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "out/bench.json").read_text("utf-8"))
    assert measured["failures"] == []
    for system in ("offline", "streaming"):
        figures = measured["systems"][system]
        assert {"wer", "deletions", "end_latency_s", "worst_gap_s", "unstable_ratio", "loops"} <= set(figures)
        assert figures["by_language"]["en"]["reference_words"] == 12
        assert figures["hallucinated_words"] == 0
        assert figures["rss_mb"] > 50
        assert figures["cpu_per_audio_s"] > 0
        assert figures["final_latency_s"]["n"] + figures["final_latency_s"]["missing"] == 12
    streaming, offline = (measured["systems"][name] for name in ("streaming", "offline"))
    assert streaming["final_latency_s"]["p50"] < offline["final_latency_s"]["p50"]
    assert measured["ratios"]["cpu_all"] > 0
    assert measured["signature"]["model"].startswith("tiny.en ")
    scored = rtstt("bench", "policies", "decodes", "--json", "out/policies.json")
    assert scored.returncode == 0, scored.stderr
    assert "| combined | en |" in scored.stdout
    policies = json.loads((tmp_path / "out/policies.json").read_text("utf-8"))["policies"]
    assert set(policies) == set(POLICIES)
    again = policies["combined"]
    assert [again[key] for key in ("wer", "unstable_ratio")] == [
        streaming[key] for key in ("wer", "unstable_ratio")
    ]
    assert 0 < again["final_latency_s"]["mean"] <= streaming["final_latency_s"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--model", "tiny.en", "--ids", "es_laboratory"), "holds no recording that can be measured"),
        (("--path", "server", "--slowdown", "2"), "default settings"),
        (("--path", "server", "--log", "decodes"), "default settings"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    rtstt: Run, arguments: tuple[str, ...], reason: str
) -> None:
    """No recording that the model knows, or options that a server doesn't take."""
    done = rtstt("bench", "streaming", *arguments)
    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kept", "reason"),
    [(None, "no decodes of the chosen recordings"), ('{"version": 0}\n', "version: 0, not 1")],
)
def test_decodes_that_are_not_there_are_asked_for(
    rtstt: Run, tmp_path: Path, kept: str | None, reason: str
) -> None:
    """A folder without decodes, or with a file that is none, gives one line that says what to do."""
    if kept is not None:
        (tmp_path / "en_beckett.jsonl").write_text(kept, "utf-8")
    done = rtstt("bench", "policies", ".", "--ids", "en_beckett")
    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert "rtstt bench streaming --log" in done.stderr


def test_silence_costs_next_to_nothing(rtstt: Run, tmp_path: Path) -> None:
    """While nobody speaks nothing is decoded and no word comes; the cost of listening is in the report."""
    done = rtstt("bench", "silence", "--model", "tiny.en", "--minutes", "1", "--json", "out/silence.json")
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "out/silence.json").read_text("utf-8"))
    assert set(measured["silence"]) == {"nothing", "room"}
    for figures in measured["silence"].values():
        assert figures["decodes"] == figures["words"] == 0
        assert 0 < figures["cpu_per_audio_s"] < 0.1
    assert measured["signature"]["model"].startswith("tiny.en ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--kinds", "meteor"), "no kind of fault"),
        (("--kinds", "kill", "--ids", "en_beckett"), "has room for “kill”"),
        (("--ids", "es_laboratory"), "holds no recording that can be measured"),
    ],
)
def test_a_campaign_that_cannot_be_drawn_up_is_refused_at_once(
    rtstt: Run, arguments: tuple[str, ...], reason: str
) -> None:
    """An unknown kind, recordings that are too short, a language that the model does not know."""
    done = rtstt("bench", "faults", "--model", "tiny.en", *arguments)
    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_small_campaign_is_reported_whole(rtstt: Run, tmp_path: Path) -> None:
    """One fault of three kinds, and the sessions without any: every key of the report, and every goal."""
    done = rtstt(
        *("bench", "faults", "--model", "tiny.en", "--ids", "en_beckett", "--each", "1"),
        *("--kinds", "cut,duplicated,cut_while_finalizing", "--json", "out/faults.json"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/faults.json").read_text("utf-8"))
    assert {"faults", "lost_chunks", "lost_words", "repeated_words", "wer_delta", "recovery_s"} <= set(report)
    assert set(report["faults"]) == {"cut", "duplicated", "cut_while_finalizing"}
    assert report["faults"]["cut"]["n"] == report["recovery_s"]["cut"]["n"] == 1
    assert report["goals"]["lost_chunks"]
    assert report["goals"]["recovered"]
    assert report["clean"]["sessions"] == 3
    assert report["signature"]["model"].startswith("tiny.en ")

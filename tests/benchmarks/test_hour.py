"""A session that nobody stops: its limit ends it, and the figures say what it was like until then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.hour import figures
from benchmarks.hour.playing import LIMIT_S, Plan, Played, Sample, Turn, play

from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import as_taken
from rtstt_lab.client.streaming import AHEAD_S
from rtstt_lab.lab.bench.heard import chunk_events, view_event
from rtstt_lab.lab.bench.report import write_between
from rtstt_lab.protocol.messages import Received, Summary
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.replay.corpus import Corpus, Recording
from rtstt_lab.types import Final, Word

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MINUTES = 23


def told(minute: int, cpu_s: float) -> dict[str, Any]:
    """The server's figures, as an event."""
    nothing = dict.fromkeys(
        (
            *("heard_s", "settled_s", "queue_s", "decode_s", "cpu_percent", "rss_mb", "ram_available_mb"),
            *("gpu_percent", "chunks_per_s", "confidence", "level_dbfs", "peak_dbfs", "clipped_ratio"),
            "noise_dbfs",
        )
    )
    at_s = 60.0 * minute
    return {"event": "resources", "at_s": at_s, "audio_s": at_s, "process_cpu_s": cpu_s, **nothing}


def played() -> Played:
    """Two words a minute: 1 s late and 12 CPU s at first, 3 s and 24 from minute 10 on; 1 MB more each."""
    finals, events, samples, cpu_s = [], [told(0, 0.0)], [], 0.0
    for minute in range(MINUTES):
        start_s, late_s = 60.0 * minute, 1.0 if minute < 10 else 3.0
        words = (Word(" red", start_s, start_s + 1, 0.9), Word(" fox", start_s + 1, start_s + 2, 0.9))
        finals.append(Final(minute, words, start_s + 2, "en"))
        cpu_s += 12.0 if minute < 10 else 24.0
        events += [
            *chunk_events(minute, start_s, start_s + 60),
            view_event(finals[-1], start_s + 2 + late_s),
            told(minute + 1, cpu_s),
        ]
        samples += [Sample(start_s + 1, 300.0 + minute), Sample(start_s + 30, 300.0 + minute)]
    recording = Recording("minute", "en", "The red fox.", 60.0, "", "", "", "read", "/nowhere")
    received = Received(accepted=MINUTES, duplicate=0, rejected=0, lost=0)
    result = SessionResult(
        session_id="a session",
        model="base",
        language="en",
        started_monotonic_s=0.0,
        stopped_s=60.0 * MINUTES,
        finals=tuple(finals),
        ledger=Ledger(MINUTES, MINUTES, MINUTES, 0, 0, 0, 0, 0),
        summary=Summary(60.0 * MINUTES, 2 * MINUTES, 0.9, None, received, "a.txt", True, "en"),
        error=None,
        events=events,
    )
    return Played(
        result=result,
        turns=[Turn(recording, 60.0 * minute, 60.0 * (minute + 1)) for minute in range(MINUTES)],
        samples=samples,
        warned_s=1320.0,
        ended_s=1380.1,
        ended_by="session_length",
        saved={"a.txt": "Started: then\n\n" + "\n".join(["red fox"] * MINUTES) + "\n"},
        restarts=0,
    )


def test_what_changes_within_the_hour_is_seen() -> None:
    """Later words, dearer seconds and growing memory stand in their ten minutes; a rest is the last one's."""
    got = figures.report(played())
    early, late = got["blocks"]
    assert [(block["from_s"], block["to_s"], block["finals"]) for block in (early, late)] == [
        (0, 600, 10),
        (600, 1380, 13),
    ]
    assert (early["cpu_per_audio_s"], late["cpu_per_audio_s"]) == (0.2, 0.4)
    assert (early["final_latency_s"]["p50"], late["final_latency_s"]["p50"]) == (1.5, 3.5)
    assert early["wer"] == late["deletions"] == pytest.approx(1 / 3, abs=1e-4)
    assert got["memory"]["slope_mb_per_hour"] == pytest.approx(60.0)
    assert (got["memory"]["median_mb"], got["memory"]["max_mb"]) == (311.0, 322.0)
    assert (got["lost_s"], got["warned_s"], got["ended_by"]) == (0.0, 1320.0, "session_length")
    assert got["saved"] == [{"file": "a.txt", "bytes": 199, "whole": True}]


def test_a_transcript_that_lacks_a_line_is_not_whole() -> None:
    """What was saved is compared with what the client was told."""
    hour = played()
    short = {name: text.removesuffix("red fox\n") for name, text in hour.saved.items()}
    assert [each["whole"] for each in figures.report(replace(hour, saved=short))["saved"]] == [False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no no no", 0),
        ("going on going on", 2),
        ("a b c a b c a b c d", 6),
        ("we go and we went and we go", 0),
    ],
)
def test_words_said_twice(text: str, words: int) -> None:
    """Stretches of two words or more that follow themselves at once; all but the first time counts."""
    assert figures.twice(text.split()) == words


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    """The page has the markers, and what is written there can be written again."""
    page = tmp_path / "page.md"
    page.write_text(DOCUMENT.read_text("utf-8"), "utf-8")
    table = figures.markdown({**figures.report(played()), "signature": {"clock": "made"}})
    for _ in range(2):
        write_between(page, "<!-- benchmarks/hour -->", "<!-- /benchmarks/hour -->", table)
    assert page.read_text("utf-8").count("| 10–23 | 3.50 s |") == 1


@pytest.mark.requirement("E3")
@pytest.mark.parametrize(
    "limit_s",
    [
        pytest.param(70, id="short"),
        pytest.param(LIMIT_S, id="hour", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_session_ends_itself_whole(limit_s: int) -> None:
    """Real speech through a real server: warned a minute before, ended at the limit, nothing lost, saved."""
    plan = Plan(
        Corpus.shipped("en"),
        ModelStore().resolve("tiny.en"),
        limit_s=limit_s,
        pace=as_taken,
        ahead_s=AHEAD_S,
    )
    got = figures.report(play(plan))
    assert (got["ended_by"], got["complete"], got["error"]) == ("session_length", True, None)
    assert limit_s <= got["audio_s"] < limit_s + 1
    assert got["lost_s"] == 0
    assert got["warned_s"] < got["ended_s"]
    assert [each["whole"] for each in got["saved"]] == [True]
    assert got["words"] > limit_s
    assert sum(block["finals"] for block in got["blocks"]) == got["finals"]
    assert got["restarts"] == 0
    assert all(block["wer"] < 0.1 for block in got["blocks"])
    assert got["memory"]["max_mb"] < 450

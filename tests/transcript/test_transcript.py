"""Transcripts: the saved file of D3 and its history, and the forms for export."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.errors import StorageError, UsageError
from rtstt_lab.transcript import Transcript, history, remove, render, save, supersede
from rtstt_lab.transcript.subtitles import LINE_CHARACTERS, LINES, cues
from rtstt_lab.types import Final, Word

MADRID = timezone(timedelta(hours=1))
STARTED = datetime(2026, 3, 4, 15, 6, 7, tzinfo=MADRID)


def words(*texts: str, start_s: float = 0.0, each_s: float = 0.4) -> tuple[Word, ...]:
    return tuple(
        Word(f" {text}", start_s + i * each_s, start_s + i * each_s + 0.3, 0.9)
        for i, text in enumerate(texts)
    )


def transcript(**changes: object) -> Transcript:
    finals = (
        Final(1, words("It", "was", "cold.", start_s=5.0), 7.0, "en"),
        Final(0, words("Hello", "<there>,", "all", "of", "you."), 3.0, "en"),
    )
    values = {
        "session_id": "0b0c", "started_at": STARTED, "finals": finals, "duration_s": 754.3,
        "mean_latency_s": 0.837, "model": "base", "language": "en", "complete": True,
    }  # fmt: skip
    return Transcript(**(values | changes))


@pytest.mark.requirement("D3", "U1")
@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ["Started: 2026-03-04 15:06:07+01:00", "Mean latency: 0.84 s", "State: complete"]),
        ("es", ["Inicio: 2026-03-04 15:06:07+01:00", "Latencia media: 0.84 s", "Estado: completa"]),
    ],
)
def test_the_file_has_header_and_text(tmp_path: Path, language: str, lines: list[str]) -> None:
    """The saved file is named by its start, and holds the header in the person's language, then the text."""
    file = save(transcript(), tmp_path / "output", language)
    assert file.name == "transcripcion_20260304_150607.txt"
    header, text = file.read_text("utf-8").split("\n\n", 1)
    assert set(lines) <= set(header.splitlines())
    assert "754.3 s" in header
    assert text == "Hello <there>, all of you.\nIt was cold.\n"


@pytest.mark.requirement("D3")
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_history_is_read_from_the_files(tmp_path: Path, language: str) -> None:
    """Headers come back as they were saved, newest first, and other files are passed over."""
    older = save(
        transcript(started_at=STARTED - timedelta(days=1), mean_latency_s=None, language=None), tmp_path
    )
    newer = save(transcript(complete=False, finals=()), tmp_path, language)
    (tmp_path / "transcripcion_20260101_000000.txt").write_bytes(b"\xff\xfe not ours")
    (tmp_path / "notes.txt").write_text("Model: base")
    first, second = history(tmp_path)
    assert (first.file, first.complete, first.started_at, first.model) == (newer, False, STARTED, "base")
    assert first.mean_latency_s == pytest.approx(0.84)
    assert (second.file, second.complete, second.language, second.mean_latency_s) == (older, True, None, None)
    assert history(tmp_path / "nowhere") == []


@pytest.mark.requirement("D3", "R1")
def test_a_session_that_went_on_is_saved_once(tmp_path: Path) -> None:
    """What was saved of it before goes; other sessions of the same second stay, and so do other files."""
    before = save(transcript(session_id="one", complete=False), tmp_path)
    other = save(transcript(session_id="two"), tmp_path)
    (tmp_path / before.name).with_suffix(".json").write_text("{}")
    (tmp_path / f"{before.stem}_notes.txt").write_text("mine")
    after = save(transcript(session_id="one"), tmp_path)
    supersede(after, "one")
    assert {header.file: header.session_id for header in history(tmp_path)} == {other: "two", after: "one"}
    assert len(list(tmp_path.iterdir())) == 4
    supersede(tmp_path / "mine.txt", "one")
    assert after.exists()


@pytest.mark.requirement("D3")
def test_what_cannot_be_deleted_is_said(tmp_path: Path) -> None:
    """With its name; what is not there is deleted already."""
    file = save(transcript(), tmp_path)
    remove(file)
    remove(file)
    assert history(tmp_path) == []
    file.mkdir()
    with pytest.raises(StorageError, match=file.name):
        remove(file)


def _save_some(folder: Path) -> list[str]:
    return [save(transcript(), folder).name for _ in range(8)]


@pytest.mark.requirement("D3")
def test_the_same_second_does_not_collide(tmp_path: Path) -> None:
    """Many transcripts of one second, from several processes at once, all get a whole file of their own."""
    with ProcessPoolExecutor(3, get_context("fork")) as pool:
        names = [name for names in pool.map(_save_some, [tmp_path] * 3) for name in names]
    assert len(set(names)) == 24
    assert sorted(names) == sorted(file.name for file in tmp_path.iterdir())
    whole = render(transcript(), "txt")
    assert all(file.read_text("utf-8") == whole for file in tmp_path.iterdir())
    assert {f"transcripcion_20260304_150607_{n}.txt" for n in range(2, 25)} <= set(names)


def test_without_hard_links_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that knows no hard links, names are still unique and files whole."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert len({save(transcript(), tmp_path) for _ in range(3)}) == 3
    assert {file.read_text("utf-8") for file in tmp_path.iterdir()} == {render(transcript(), "txt")}


@pytest.mark.requirement("D3")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the error says so, and no half file stays."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full") as caught:
        save(transcript(), tmp_path)
    assert "disco está lleno" in caught.value.localized("es")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    """A folder's path that is a file is refused with its name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        save(transcript(), tmp_path / "file")
    with pytest.raises(StorageError):
        history(tmp_path / "file")


@pytest.mark.requirement("D3")
def test_json_has_words_times_and_confidence() -> None:
    """The JSON form holds everything, in order of time."""
    data = json.loads(render(transcript(mean_latency_s=None), "json"))
    assert [segment["segment"] for segment in data["segments"]] == [0, 1]
    assert data["segments"][1]["words"][0] == {
        "word": " It", "start_s": 5.0, "end_s": 5.3, "probability": 0.9,
    }  # fmt: skip
    assert data["segments"][0]["confidence"] == pytest.approx(0.9)
    assert data["started_at"] == "2026-03-04T15:06:07+01:00"


@pytest.mark.requirement("D3")
def test_csv_has_one_row_a_word() -> None:
    """The CSV form reads back as one row a word."""
    rows = list(csv.DictReader(io.StringIO(render(transcript(), "csv"))))
    assert [row["word"] for row in rows] == ["Hello", "<there>,", "all", "of", "you.", "It", "was", "cold."]
    assert rows[-1]["end_s"] == "6.100"


@pytest.mark.requirement("D3")
def test_subtitles_have_their_forms() -> None:
    """SRT and WebVTT number, time and escape as their players expect."""
    assert render(transcript(), "srt").startswith(
        "1\n00:00:00,000 --> 00:00:01,900\nHello <there>, all of you.\n\n2\n"
    )
    vtt = render(transcript(), "vtt")
    assert vtt.startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.900\nHello &lt;there&gt;, all of you.\n\n00:00:05.000"
    )
    long = transcript(finals=(Final(0, words("late", start_s=3_725.25), 3_730, "en"),))
    assert "01:02:05,250 --> 01:02:06,250" in render(long, "srt")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.text(st.characters(categories=["L", "P"]), min_size=1, max_size=12),
                st.floats(0, 3),
                st.floats(0.02, 1.5),
            ),
            min_size=1,
            max_size=40,
        ),
        max_size=4,
    )
)
def test_subtitles_can_be_read(shape: list[list[tuple[str, float, float]]]) -> None:
    """Any words become subtitles of two short lines that don't overlap, in order, with no word lost."""
    at_s, segments = 0.0, []
    for texts in shape:
        segment = []
        for text, gap_s, long_s in texts:
            segment.append(Word(f" {text}", at_s + gap_s, at_s + gap_s + long_s, 0.5))
            at_s += gap_s + long_s
        segments.append(segment)
    made = cues(segments)
    shown = "".join("".join(cue.lines) for cue in made)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", "".join(w.text for s in segments for w in s))
    for cue in made:
        assert len(cue.lines) <= LINES
        assert all(len(line) <= LINE_CHARACTERS for line in cue.lines)
        assert 0 < cue.end_s - cue.start_s <= 6.01
    assert all(one.end_s <= two.start_s for one, two in pairwise(made))


def test_other_formats_are_refused() -> None:
    """An unknown format is a usage error that lists those there are."""
    with pytest.raises(UsageError, match="txt, json, srt, vtt, csv"):
        render(transcript(), "docx")


def test_a_start_without_a_zone_is_refused() -> None:
    """D3 wants a zone in the header, so a transcript can't be without one."""
    with pytest.raises(ValueError, match="zone"):
        transcript(started_at=datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


@pytest.mark.requirement("S1", "D3")
def test_a_time_without_a_zone_is_no_transcript_of_ours(tmp_path: Path) -> None:
    """A file that was edited by hand, its time without a zone, is passed over: it can't be put in order."""
    begun = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
    ours = save(Transcript("s", begun, (), 2.0, None, "base", "en", complete=True), tmp_path)
    (tmp_path / "transcripcion_20260304_150608.txt").write_text(ours.read_text("utf-8").replace("+00:00", ""))
    assert [header.file for header in history(tmp_path)] == [ours]

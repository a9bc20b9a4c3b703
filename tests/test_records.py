"""The run schema: events in, tables out, and a crashed run can still be closed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from rtstt_lab import records
from rtstt_lab.errors import StorageError

EVENTS = [
    (
        "chunk",
        0.25,
        {"seq": 0, "stream": 0, "bytes": 8000, "audio_s": 0.0, "duration_s": 0.25, "captured_s": 0.0},
    ),
    ("sent", 0.25, {"seq": 0}),
    ("accepted", 0.27, {"seq": 0}),
    (
        "chunk",
        0.5,
        {"seq": 1, "stream": 0, "bytes": 8000, "audio_s": 0.25, "duration_s": 0.25, "captured_s": 0.25},
    ),
    ("sent", 0.5, {"seq": 1}),
    ("fault", 0.6, {"name": "cut", "value": 1.0}),
    ("sent", 1.7, {"seq": 1}),
    ("accepted", 1.72, {"seq": 1}),
    (
        "chunk",
        0.75,
        {"seq": 2, "stream": 0, "bytes": 8000, "audio_s": 0.5, "duration_s": 0.25, "captured_s": 0.5},
    ),
    ("lost", 2.0, {"first": 2, "last": 2, "reason": "checksum"}),
    (
        "partial",
        1.8,
        {
            "segment": 0,
            "revision": 0,
            "committed": 0,
            "audio_end_s": 0.5,
            "words": [[" Hola", 0.1, 0.4, 0.9]],
        },
    ),
    ("final", 2.1, {"segment": 0, "audio_end_s": 0.5, "words": [[" Hola", 0.1, 0.4, 0.8]], "language": "es"}),
    ("committed", 2.1, {"seq": 2}),
    ("resources", 1.0, {"cpu_percent": 40.0, "rss_mb": 300.0}),
    ("state", 0.0, {"shown": "recording", "link": "open", "phase": "recording", "mode": "stream"}),
]


def write(folder: Path) -> records.RunWriter:
    writer = records.RunWriter(folder, {"run": "a", "model": "tiny.en"})
    for event, at_s, fields in EVENTS:
        writer.append(event, at_s, **fields)
    return writer


@pytest.mark.requirement("C4", "C6")
def test_a_run_is_written_and_read_back(tmp_path: Path) -> None:
    """What was appended comes back as five tables with the schema's columns, and the meta beside them."""
    write(tmp_path / "run").close(ledger={"captured": 3})
    tables = records.read_tables(tmp_path / "run")
    for name, columns in records.SCHEMA.items():
        assert list(tables[name].columns) == [column.name for column in columns]
    chunks = tables["chunks"].set_index("seq")
    assert list(chunks["fate"]) == ["accepted", "accepted", "lost"]
    assert list(chunks["transmissions"]) == [1, 2, 0]
    assert chunks["sent_s"][1] == 0.5
    assert chunks["accepted_s"][1] == 1.72
    assert list(chunks["covered_s"].fillna(-1)) == [1.8, 1.8, -1]
    assert list(chunks["committed_s"].fillna(-1)) == [2.1, 2.1, -1]
    word = tables["words"].iloc[0]
    assert (word["word"], word["shown_s"], word["emitted_s"], word["probability"]) == (" Hola", 1.8, 2.1, 0.8)
    assert tables["partials"]["words"][0][0]["text"] == " Hola"
    assert set(tables["states"]["kind"]) == {"state", "fault", "lost"}
    assert records.read_meta(tmp_path / "run")["ledger"] == {"captured": 3}
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_crashed_run_can_still_be_closed(tmp_path: Path) -> None:
    """Without close, and with a torn last line, the events up to the crash become the same tables."""
    write(tmp_path / "whole").close()
    writer = write(tmp_path / "torn")
    writer.__exit__(None, None, None)
    with (tmp_path / "torn" / records.EVENTS_FILE).open("a") as file:
        file.write('{"event": "partial", "at_s": 2.2, "wor')
    before = records.read_tables(tmp_path / "torn")
    records.close_run(tmp_path / "torn")
    after, whole = records.read_tables(tmp_path / "torn"), records.read_tables(tmp_path / "whole")
    for name in records.SCHEMA:
        pd.testing.assert_frame_equal(before[name], whole[name])
        pd.testing.assert_frame_equal(after[name], whole[name])


def test_an_empty_run_has_typed_tables(tmp_path: Path) -> None:
    """A run without any event closes into empty tables with the schema's dtypes."""
    records.RunWriter(tmp_path / "run", {}).close()
    tables = records.read_tables(tmp_path / "run")
    assert all(table.empty for table in tables.values())
    assert tables["chunks"]["sent_s"].dtype == "float64"
    assert str(tables["chunks"]["speech"].dtype) == "boolean"


@pytest.mark.parametrize(
    ("key", "spoil"),
    [
        ("run_read", lambda folder: (folder / records.META_FILE).unlink()),
        ("run_schema", lambda folder: (folder / records.META_FILE).write_text('{"schema": 99}')),
    ],
)
def test_what_is_no_run_says_so(tmp_path: Path, key: str, spoil: object) -> None:
    """A missing meta and a later schema are told apart, and each error names the way out."""
    write(tmp_path / "run").close()
    spoil(tmp_path / "run")
    with pytest.raises(StorageError) as caught:
        records.read_meta(tmp_path / "run")
    assert caught.value.key == key


def test_a_run_is_never_written_over(tmp_path: Path) -> None:
    """A folder that holds a run refuses another, and a spoilt line inside is named by its number."""
    write(tmp_path / "run").close()
    with pytest.raises(StorageError):
        records.RunWriter(tmp_path / "run", {})
    (tmp_path / "run" / records.EVENTS_FILE).write_text('{"event": "sent"}\nnonsense\n{}\n')
    with pytest.raises(StorageError) as caught:
        list(records.read_events(tmp_path / "run"))
    assert caught.value.parameters["line"] == 2


def test_the_documented_schema_is_the_schema() -> None:
    """docs/records.md ends with the tables that the code declares."""
    page = Path(__file__).parents[1] / "docs" / "records.md"
    assert page.read_text("utf-8").endswith(records.schema_markdown())

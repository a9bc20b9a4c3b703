"""The run schema: what one session over one recording leaves behind, as data.

One folder a run::

    meta.json          what was run: corpus, clip, reference, model, policy, chunk, faults, clock, seed,
    ledger events.jsonl       every event as it happened, append-only; the source of everything else
    chunks.parquet  words.parquet  partials.parquet  resources.parquet  states.parquet

The tables are a pure function of the events (`tables_of`), so a run that crashed can still be closed
(`close_run`). Two clocks: columns that say *audio* count the samples recorded (pauses excluded); all others
are the client's clock. Both start at 0 with the beginning of the first chunk's audio and are in seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rtstt_lab.emissions import View, trace_words
from rtstt_lab.errors import StorageError
from rtstt_lab.types import Word

SCHEMA_VERSION: Final = 1
EVENTS_FILE: Final = "events.jsonl"
META_FILE: Final = "meta.json"

Event: TypeAlias = Mapping[str, Any]
Tables: TypeAlias = dict[str, pd.DataFrame]

_WORDS: Final = pa.list_(
    pa.struct(
        [
            ("text", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("probability", pa.float64()),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its Arrow type, its unit ("" where it has none) and what it means."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


def _columns(*rows: tuple[str, pa.DataType, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_F, _I, _S, _B = pa.float64(), pa.int64(), pa.string(), pa.bool_()

SCHEMA: Final[Mapping[str, tuple[Column, ...]]] = MappingProxyType(
    {
        "chunks": _columns(
            ("seq", _I, "", "number of the chunk, from 0 without gaps"),
            ("stream", _I, "", "number of the recorder instance"),
            ("bytes", _I, "B", "length of the payload"),
            ("audio_s", _F, "s, audio", "where its audio begins"),
            ("duration_s", _F, "s", "of its audio"),
            ("captured_s", _F, "s", "when its audio began"),
            ("sent_s", _F, "s", "first transmission; missing: never sent"),
            ("accepted_s", _F, "s", "the server's first acknowledgement; missing: never"),
            ("committed_s", _F, "s", "disposed of for good; missing: never"),
            ("covered_s", _F, "s", "first view that heard its end (M1); missing: never"),
            ("transmissions", _I, "", "how often it was sent"),
            ("fate", _S, "", "accepted, lost or held, when the run ended"),
            ("speech", _B, "", "it holds speech, by a detector over the clean audio; missing: not judged"),
        ),
        "words": _columns(
            ("segment", _I, "", "number of the segment"),
            ("position", _I, "", "of the word in its segment, from 0"),
            ("word", _S, "", "as the model wrote it, with its leading space"),
            ("start_s", _F, "s, audio", "first sample, by the recognizer"),
            ("end_s", _F, "s, audio", "last sample, by the recognizer"),
            ("probability", _F, "", "mean probability of its tokens, 0 to 1"),
            ("shown_s", _F, "s", "first view that showed it at its place (FD)"),
            ("shown_heard_s", _F, "s, audio", "newest audio that view had heard (computation-unaware)"),
            ("changed_s", _F, "s", "first view since which it has not changed, by the letter (SD)"),
            ("emitted_s", _F, "s", "committed: first sent in a committed prefix or a final"),
            ("emitted_heard_s", _F, "s, audio", "newest audio that message had heard (computation-unaware)"),
        ),
        "partials": _columns(
            ("kind", _S, "", "partial or final"),
            ("segment", _I, "", "number of the segment"),
            ("revision", _I, "", "number of the view in its segment; missing for finals"),
            ("emitted_s", _F, "s", "arrival at the client"),
            ("audio_end_s", _F, "s, audio", "newest audio that was heard for it"),
            ("committed", _I, "", "leading words that never change again"),
            ("text", _S, "", "the view's sentence"),
            ("words", _WORDS, "", "its words: text, start_s, end_s (audio clock), probability"),
        ),
        "resources": _columns(
            ("at_s", _F, "s", "arrival of the sample"),
            ("audio_s", _F, "s, audio", "received"),
            ("heard_s", _F, "s, audio", "decoded at least once"),
            ("settled_s", _F, "s, audio", "committed"),
            ("queue_s", _F, "s", "audio received and not yet decoded"),
            ("decode_s", _F, "s", "the last decode, wall clock"),
            ("cpu_percent", _F, "%", "of one core, the server's process tree"),
            ("process_cpu_s", _F, "s", "CPU of the server's process tree since the session began"),
            ("rss_mb", _F, "MB", "resident memory of the server's process tree"),
            ("ram_available_mb", _F, "MB", "of the host or the container, whichever is less"),
            ("gpu_percent", _F, "%", "missing: no GPU"),
            ("chunks_per_s", _F, "1/s", "received"),
            ("confidence", _F, "", "mean word probability so far"),
            ("level_dbfs", _F, "dBFS", "RMS of the last second"),
            ("peak_dbfs", _F, "dBFS", "peak of the last second"),
            ("clipped_ratio", _F, "", "share of clipped samples of the last second"),
            ("noise_dbfs", _F, "dBFS", "noise floor"),
        ),
        "states": _columns(
            ("at_s", _F, "s", "when it happened"),
            ("kind", _S, "", "state, fault, alert, control, lost or error"),
            ("shown", _S, "", "the shown state (L1), for kind state"),
            ("link", _S, "", "the link's state, for kind state"),
            ("phase", _S, "", "the session's phase, for kind state"),
            ("mode", _S, "", "stream or block, for kind state"),
            ("name", _S, "", "of the fault, alert, control or error"),
            ("value", _F, "", "the figure behind it: seconds for faults, chunks for lost"),
        ),
    }
)


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of one of the five tables."""
    return pa.schema([(column.name, column.type) for column in SCHEMA[table]])


def frame(table: str, rows: Iterable[Event]) -> pd.DataFrame:
    """Rows with the table's columns, order and dtypes; a column that a row lacks is missing there."""
    arrow = pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(table))
    data: pd.DataFrame = arrow.to_pandas()
    for column in SCHEMA[table]:
        if pa.types.is_boolean(column.type):
            data[column.name] = data[column.name].astype("boolean")
        elif column.name == "revision":
            data[column.name] = data[column.name].astype("Int64")
    return data


# --- events → tables ----------------------------------------------------------------------------------------


def tables_of(events: Iterable[Event]) -> Tables:
    """Folds the events of one run into its five tables.

    Known events, each with ``event`` and ``at_s``: ``chunk`` (seq, stream, bytes, audio_s, duration_s,
    captured_s, speech?), ``sent`` (seq), ``accepted`` (seq), ``lost`` (first, last, reason), ``committed``
    (seq: all below it), ``partial`` and ``final`` (segment, revision?, committed?, audio_end_s, words),
    ``resources`` and ``state``, ``fault``, ``alert``, ``control``, ``error`` (their table's columns). Others
    are left alone.
    """
    chunks: dict[int, dict[str, Any]] = {}
    views: list[View] = []
    resources: list[Event] = []
    states: list[Event] = []
    for event in events:
        match event["event"]:
            case "chunk":
                chunks[event["seq"]] = {**event, "transmissions": 0, "fate": "held"}
            case "sent" | "accepted" | "committed" | "lost":
                _fold_delivery(chunks, event)
                if event["event"] == "lost":
                    count = event["last"] - event["first"] + 1
                    states.append(
                        {"at_s": event["at_s"], "kind": "lost", "name": event["reason"], "value": count}
                    )
            case "partial" | "final":
                views.append(_view(event))
            case "resources":
                resources.append(event)
            case "state" | "fault" | "alert" | "control" | "error":
                states.append({**event, "kind": event["event"]})
    _cover(chunks.values(), views)
    return {
        "chunks": frame("chunks", [chunks[seq] for seq in sorted(chunks)]),
        "words": frame("words", trace_words(views)),
        "partials": frame("partials", [view.row() for view in views]),
        "resources": frame("resources", resources),
        "states": frame("states", states),
    }


def _fold_delivery(chunks: dict[int, dict[str, Any]], event: Event) -> None:
    at_s = event["at_s"]
    match event["event"]:
        case "sent":
            chunk = chunks[event["seq"]]
            chunk["transmissions"] += 1
            chunk.setdefault("sent_s", at_s)
        case "accepted":
            chunk = chunks[event["seq"]]
            chunk["fate"] = "accepted"
            chunk.setdefault("accepted_s", at_s)
        case "lost":
            for seq in range(event["first"], event["last"] + 1):
                chunks[seq]["fate"] = "lost"
        case "committed":
            for seq in range(event["seq"] - 1, -1, -1):
                if "committed_s" in chunks[seq]:
                    break
                chunks[seq]["committed_s"] = at_s


def _cover(chunks: Iterable[dict[str, Any]], views: Iterable[View]) -> None:
    """Marks each chunk with the first view that heard its end, to the wire's millisecond."""
    waiting = iter(sorted(chunks, key=lambda chunk: chunk["audio_s"]))
    chunk = next(waiting, None)
    for view in views:
        while chunk is not None and _ms(chunk["audio_s"] + chunk["duration_s"]) <= _ms(view.audio_end_s):
            chunk["covered_s"] = view.emitted_s
            chunk = next(waiting, None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _view(event: Event) -> View:
    words = tuple(Word(*word) for word in event["words"])
    final = event["event"] == "final"
    return View(
        final=final,
        segment=event["segment"],
        revision=None if final else event["revision"],
        emitted_s=event["at_s"],
        audio_end_s=event["audio_end_s"],
        committed=len(words) if final else event["committed"],
        words=words,
    )


# --- writing and reading ------------------------------------------------------------------------------------


class RunWriter:
    """Appends a run's events as they happen and closes them into tables.

    Use as a context manager; leaving it by an exception keeps the events and closes nothing, so that
    `close_run` can still be called on the folder.

    Args:
        folder: made if missing; must hold no run yet.
        meta: what is known before the run; JSON-able.

    Raises:
        StorageError: the folder holds a run already, or cannot be written.
    """

    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / META_FILE, _json({"schema": SCHEMA_VERSION, **meta}), exist_ok=False)
            self._file = (folder / EVENTS_FILE).open("x", encoding="utf-8")
        except OSError as error:
            raise StorageError("run_write", path=str(folder), reason=error.strerror or str(error)) from error

    def append(self, event: str, at_s: float, **fields: Any) -> None:
        """Writes one event; what was appended survives a crash of this process."""
        self._file.write(json.dumps({"event": event, "at_s": at_s, **fields}, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self, **meta: Any) -> None:
        """Closes the run: tables beside the events, ``meta`` added to meta.json."""
        self._file.close()
        close_run(self.folder, **meta)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def close_run(folder: Path, **meta: Any) -> None:
    """Writes the tables of a run from its events; again gives the same again.

    Args:
        folder: with meta.json and events.jsonl.
        meta: joins what meta.json says.

    Raises:
        StorageError: the folder holds no run, or cannot be written.
    """
    try:
        for table, data in tables_of(read_events(folder)).items():
            arrow = pa.Table.from_pandas(data, schema=arrow_schema(table), preserve_index=False)
            partial = folder / f"{table}.parquet.part"
            pq.write_table(arrow, partial)
            partial.replace(folder / f"{table}.parquet")
        write_atomically(folder / META_FILE, _json(read_meta(folder) | meta))
    except OSError as error:
        raise StorageError("run_write", path=str(folder), reason=error.strerror or str(error)) from error


def read_events(folder: Path) -> Iterator[Event]:
    """The events in order; a last line that a crash cut off is left out.

    Raises:
        StorageError: no events file, or a line in its middle that cannot be read.
    """
    path = folder / EVENTS_FILE
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except OSError as error:
        raise StorageError("run_read", path=str(folder), reason=error.strerror or str(error)) from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise StorageError("run_event", path=str(path), line=number, reason=str(error)) from error


def read_meta(folder: Path) -> dict[str, Any]:
    """What meta.json says.

    Raises:
        StorageError: missing, unreadable, or written by a later schema.
    """
    try:
        meta: dict[str, Any] = json.loads((folder / META_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError("run_read", path=str(folder), reason=str(error)) from error
    if meta.get("schema") != SCHEMA_VERSION:
        raise StorageError("run_schema", path=str(folder), found=meta.get("schema"), known=SCHEMA_VERSION)
    return meta


def read_tables(folder: Path) -> Tables:
    """The five tables of a closed run; one that was never closed is folded from its events.

    Raises:
        StorageError: the folder holds no run.
    """
    if not all((folder / f"{table}.parquet").exists() for table in SCHEMA):
        return tables_of(read_events(folder))
    return {table: frame(table, pq.read_table(folder / f"{table}.parquet").to_pylist()) for table in SCHEMA}


def write_atomically(path: Path, text: str, *, exist_ok: bool = True) -> None:
    """Writes a text file whole or not at all.

    Raises:
        FileExistsError: it is there already and ``exist_ok`` is false.
    """
    if not exist_ok and path.exists():
        raise FileExistsError(17, "File exists", str(path))
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def schema_markdown() -> str:
    """The tables of ``docs/records.md``."""
    parts = []
    for table, columns in SCHEMA.items():
        rows = [
            f"| `{c.name}` | {'list of words' if c.type == _WORDS else c.type} | {c.unit} | {c.meaning} |"
            for c in columns
        ]
        parts.append(
            "\n".join([f"## {table}", "", "| column | type | unit | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(parts) + "\n"

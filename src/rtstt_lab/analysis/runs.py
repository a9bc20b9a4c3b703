"""Runs: load, filter, put together, and see as tidy frames with a column ``run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from rtstt_lab import records
from rtstt_lab.analysis import metrics


@dataclass(frozen=True)
class Run:
    """One session over one recording.

    Attributes:
        id: unique among the runs that are put together.
        meta: as ``meta.json`` has it.
        tables: the five tables of `rtstt_lab.records`.
    """

    id: str
    meta: Mapping[str, Any] = field(repr=False)
    tables: records.Tables = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Reads a run's folder.

        Raises:
            StorageError: it holds no run.
        """
        meta = records.read_meta(folder)
        return cls(str(meta.get("run", folder.name)), meta, records.read_tables(folder))

    @property
    def text(self) -> str:
        """What was recognised, in the order of time."""
        return "".join(self.tables["words"]["word"]).strip()

    @property
    def ledger(self) -> metrics.Ledger:
        """What became of every chunk and transmission."""
        return metrics.read_ledger(self.meta["ledger"])

    @property
    def speech_end_s(self) -> float:
        """The true end of speech where meta knows it, else the end of the audio; audio clock."""
        return float(self.meta.get("speech_end_s") or self.meta["audio_s"])

    @property
    def stopped_s(self) -> float:
        """When the session stopped, on the client's clock."""
        return float(self.meta["stopped_s"])

    @property
    def outages(self) -> list[tuple[float, float]]:
        """Spans of the client's clock in which the schedule kept the link cut or half-open."""
        faults = self.meta.get("faults") or ()
        return [
            (float(fault["at_s"]), float(fault["at_s"]) + float(fault["duration_s"]))
            for fault in faults
            if fault["kind"] in ("cut", "half_open")
        ]

    def word_latencies(self, reading: metrics.Reading = "emitted", *, aware: bool = True) -> pd.DataFrame:
        """`metrics.word_latencies` of this run, by the recognizer's word times."""
        return metrics.word_latencies(
            self.tables["words"], self.tables["chunks"], reading=reading, aware=aware
        )

    def partial_latencies(self) -> pd.DataFrame:
        """`metrics.partial_latencies` of this run (M1)."""
        return metrics.partial_latencies(self.tables["chunks"], self.stopped_s, self.tables["words"])

    def end_latency_s(self) -> float:
        """`metrics.end_latency_s` of this run."""
        return metrics.end_latency_s(self.tables["partials"], self.speech_end_s, self.tables["chunks"])

    def worst_gap_s(self) -> float:
        """`metrics.worst_gap_s` of this run, speech taken from the words' own times."""
        spans = metrics.speech_spans(self.tables["words"])
        at = metrics.capture_time(self.tables["chunks"], spans.ravel()).reshape(spans.shape)
        return metrics.worst_gap_s(self.tables["words"]["emitted_s"], at)

    def cpu_per_audio_s(self) -> float:
        """`metrics.cpu_per_audio_s` of this run."""
        return metrics.cpu_per_audio_s(float(self.meta["process_cpu_s"]), float(self.meta["audio_s"]))


class Runs:
    """An ordered collection of runs with ids of their own.

    Args:
        runs: any; an id that occurs again gets a number behind it.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs: dict[str, Run] = {}
        for run in runs:
            name, count = run.id, 1
            while name in self._runs:
                count += 1
                name = f"{run.id}-{count}"
            self._runs[name] = run if name == run.id else Run(name, run.meta, run.tables)

    @classmethod
    def load(cls, *folders: Path | str) -> Runs:
        """All runs in these folders and below them, in the order of their paths.

        Raises:
            StorageError: a run that cannot be read.
        """
        found = (meta.parent for folder in folders for meta in sorted(Path(folder).rglob(records.META_FILE)))
        return cls(Run.load(folder) for folder in found)

    def filter(self, condition: Callable[[Run], bool] | None = None, **meta: Any) -> Runs:
        """The runs whose meta has these values and that meet the condition."""
        return Runs(
            run
            for run in self
            if all(run.meta.get(key) == value for key, value in meta.items())
            and (condition is None or condition(run))
        )

    def by(self, key: str) -> dict[Any, Runs]:
        """Groups by one value of meta, in the order of first appearance."""
        names = dict.fromkeys(run.meta.get(key) for run in self)
        return {name: self.filter(**{key: name}) for name in names}

    @cached_property
    def meta(self) -> pd.DataFrame:
        """One row a run, indexed by ``run``."""
        frame = pd.DataFrame([{**run.meta, "run": name} for name, run in self._runs.items()])
        return frame.set_index("run") if len(frame) else frame

    def table(self, name: str) -> pd.DataFrame:
        """One table of all runs, with the column ``run`` before the schema's own."""
        parts = [run.tables[name].assign(run=run.id) for run in self]
        data = pd.concat(parts, ignore_index=True) if parts else records.frame(name, ()).assign(run=[])
        return data[["run", *(column.name for column in records.SCHEMA[name])]]

    def __add__(self, other: Runs) -> Runs:
        return Runs([*self, *other])

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, name: str) -> Run:
        return self._runs[name]

    def __repr__(self) -> str:
        return f"Runs({len(self)}: {', '.join(self._runs)})"

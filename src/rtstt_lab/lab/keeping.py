"""Turns what a replay left behind into a run: events with marks of speech and faults, and what was run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rtstt_lab import records
from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.runs import Run
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.lab.signature import machine, package_version
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.speech import detect_speech, holds_speech
from rtstt_lab.replay.virtual import Replayed
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what a recording was recognised.

    Attributes:
        name: begins the run's id.
        mode: ``streaming`` or ``offline``.
        model: its name.
        model_sha256: of its weights.
        policy: the recognizer's settings that move figures.
        chunk_ms: of audio in a message; 0 offline.
        faults: what the link suffered.
        clock: ``virtual`` or ``real-time``.
        seed: of the link's jitter.
    """

    name: str
    mode: str
    model: str
    model_sha256: str
    policy: str
    chunk_ms: int
    faults: FaultSchedule
    clock: str
    seed: int

    @property
    def system(self) -> str:
        """What is compared: model and mode."""
        return f"{self.model} · {self.mode}"

    def run_id(self, recording: Recording) -> str:
        """The run's name and folder."""
        parts = (self.name, Path(self.model).name, self.mode, recording.id)
        return "-".join(part.replace(" ", "_") for part in parts if part)


def keep(
    recording: Recording, samples: Samples, replayed: Replayed, conditions: Conditions, folder: Path | None
) -> Run:
    """The run of one session.

    Args:
        recording: what was replayed.
        samples: its audio, from which speech is told.
        replayed: the session.
        conditions: under which.
        folder: where a folder of its own is made for it; ``None`` keeps it in memory.

    Raises:
        StorageError: the run is there already, or cannot be written.
    """
    result = replayed.result
    spans = detect_speech(samples)
    faults = conditions.faults
    if not math.isnan(result.stopped_s):
        faults = faults.stopped(result.stopped_s)
    events = [_with_speech(event, spans) for event in result.events]
    events += [
        {"event": "fault", "at_s": fault.at_s, "name": fault.kind, "value": fault.duration_s}
        for fault in faults.faults
    ]
    outcome = {
        "ledger": asdict(result.ledger),
        "stopped_s": result.stopped_s,
        "process_cpu_s": replayed.process_cpu_s,
        "complete": result.error is None,
    }
    speech = {
        "speech_start_s": float(spans[0, 0]) if len(spans) else None,
        "speech_end_s": float(spans[-1, 1]) if len(spans) else None,
        "speech_s": float((spans[:, 1] - spans[:, 0]).sum()),
    }
    return keep_events(recording, samples, events, conditions, outcome=outcome | speech, folder=folder)


def keep_events(
    recording: Recording,
    samples: Samples,
    events: Iterable[records.Event],
    conditions: Conditions,
    *,
    outcome: dict[str, Any],
    folder: Path | None,
) -> Run:
    """The run of any events; see `keep`.

    Args:
        recording: what was recognised.
        samples: its audio.
        events: as `rtstt_lab.records` defines them.
        conditions: under which.
        outcome: joins meta.json.
        folder: see `keep`.
    """
    name = conditions.run_id(recording)
    meta = _meta(recording, samples, conditions) | outcome
    ordered = sorted(events, key=lambda event: float(event["at_s"]))
    if folder is None:
        return Run(name, meta, records.tables_of(ordered))
    with records.RunWriter(folder / name, meta) as writer:
        for event in ordered:
            fields = {key: value for key, value in event.items() if key not in ("event", "at_s")}
            writer.append(event["event"], event["at_s"], **fields)
        writer.close()
    return Run.load(folder / name)


def signature_of(run: Run, corpus: str) -> Signature:
    """Under which conditions a run's numbers were taken.

    Args:
        run: of `keep`.
        corpus: id and hash of the recordings that its number is over.
    """
    meta = run.meta
    return Signature(
        corpus=corpus,
        normalizer=normalizer(meta["language"]).name,
        model=f"{meta['model']} {meta['model_sha256'][:12]}",
        policy=meta["policy"],
        chunk_ms=meta["chunk_ms"],
        network=meta["network"],
        clock=meta["clock"],
        word_times="recognizer",
        version=meta["version"],
        machine=meta["machine"],
    )


def _with_speech(event: records.Event, spans: Any) -> records.Event:
    if event["event"] != "chunk":
        return event
    return {**event, "speech": holds_speech(event["audio_s"], event["duration_s"], spans)}


def _meta(recording: Recording, samples: Samples, conditions: Conditions) -> dict[str, Any]:
    return {
        "run": conditions.run_id(recording),
        "name": conditions.name,
        "system": conditions.system,
        "mode": conditions.mode,
        "clip": recording.id,
        "clip_sha256": recording.audio_hash(),
        "language": recording.language,
        "category": recording.category,
        "reference": recording.reference,
        "audio_s": len(samples) / SAMPLE_RATE_HZ,
        "model": conditions.model,
        "model_sha256": conditions.model_sha256,
        "policy": conditions.policy,
        "chunk_ms": conditions.chunk_ms,
        "network": str(conditions.faults),
        "faults": conditions.faults.as_json(),
        "clock": conditions.clock,
        "seed": conditions.seed,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": package_version(),
        "machine": machine(),
    }

"""Models side by side over a corpus: streaming beside offline, errors beside latency beside cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from rtstt_lab.analysis import metrics
from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.runs import Run, Runs
from rtstt_lab.analysis.wer import error_rate, normalizer, word_errors
from rtstt_lab.lab.experiment import STREAMING, Experiment, Progress, warm_decoder
from rtstt_lab.lab.keeping import Conditions, keep_events, signature_of
from rtstt_lab.replay.corpus import Recording, load_audio
from rtstt_lab.replay.faults import FaultSchedule

OFFLINE: Final = "offline"
_BEAM: Final = 5
_SEED: Final = 0
"""Of the bootstrap, so that the same runs give the same table."""


@dataclass(frozen=True)
class Comparison:
    """Several systems over the same recordings.

    Attributes:
        runs: one a system and recording; meta's ``system`` names the system.
        scores: one row a system; see `scorecard`.
        signatures: one a system.
    """

    runs: Runs
    scores: pd.DataFrame
    signatures: dict[str, Signature]


def compare(
    models: Sequence[str],
    experiment: Experiment,
    *,
    offline: bool = True,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Comparison:
    """Replays the experiment's corpus with each model, and recognises it offline with the same models.

    Args:
        models: names or folders.
        experiment: everything but the model.
        offline: plain faster-whisper over whole recordings, beam 5, for comparison.
        progress: told as the audio goes by, model by model.
        executor: see `Experiment.run`.

    Raises:
        RtsttError: see `Experiment.run`.
    """
    runs = Runs()
    for model in models:
        runs += replace(experiment, model=model).run(progress=progress, executor=executor)
        if offline:
            runs += Runs(
                recognise_offline(each, model, folder=experiment.folder) for each in experiment.corpus
            )
    corpus = f"{len(experiment.corpus)} recordings {experiment.corpus.hash[:12]}"
    signatures = {
        system: signature_of(next(iter(group)), corpus) for system, group in runs.by("system").items()
    }
    return Comparison(runs, scorecard(runs), signatures)


def recognise_offline(recording: Recording, model: str, *, folder: Path | None = None) -> Run:
    """One recording as a whole, with nobody waiting: there are words, errors and cost, and no latencies.

    Args:
        recording: what is recognised.
        model: name or folder.
        folder: see `rtstt_lab.lab.keeping.keep`.
    """
    decoder, samples = warm_decoder(model), load_audio(recording)
    began_s = time.process_time()
    finals = decoder.transcribe_offline(samples, language=recording.language, beam_size=_BEAM)
    cpu_s = time.process_time() - began_s
    at_s = recording.duration_s + cpu_s
    events = [
        {
            "event": "final",
            "at_s": at_s,
            "segment": final.segment,
            "audio_end_s": final.audio_end_s,
            "words": [(w.text, w.start_s, w.end_s, w.probability) for w in final.words],
        }
        for final in finals
    ]
    conditions = Conditions(
        name="",
        mode=OFFLINE,
        model=model,
        model_sha256=decoder.model.sha256,
        policy=f"whole recording, beam {_BEAM}",
        chunk_ms=0,
        faults=FaultSchedule(),
        clock="none",
        seed=0,
    )
    outcome = {"process_cpu_s": cpu_s, "stopped_s": at_s, "complete": True, "speech_end_s": None}
    return keep_events(recording, samples, events, conditions, outcome=outcome, folder=folder)


def scorecard(runs: Runs, *, by: str = "system", seed: int = _SEED) -> pd.DataFrame:
    """One row a system, computation-aware throughout; offline systems have no latencies.

    Columns: ``model``, ``mode``, ``utterances``, ``audio_s``; ``wer`` (pooled, with ``wer_low`` and
    ``wer_high``), ``wer_mean``, ``deletions``; ``latency_mean_s`` (of committed words, with ``latency_low_s``
    and ``latency_high_s``), ``latency_p50_s``, ``latency_p95_s``, ``shown_p50_s``, ``m1_mean_s``,
    ``m1_p95_s``, ``end_latency_s``, ``worst_gap_s``, ``unstable_ratio``; ``confidence``, ``cpu_per_audio_s``,
    ``incomplete``. Intervals are bootstraps over recordings; with one recording there are none.

    Args:
        runs: of `Experiment.run` and `recognise_offline`.
        by: the value of meta that names a row.
        seed: of the bootstrap.
    """
    rows = {name: _score(group, np.random.default_rng(seed)) for name, group in runs.by(by).items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)


def _score(runs: Runs, rng: np.random.Generator) -> dict[str, Any]:
    every = list(runs)
    errors = [
        word_errors(run.meta["reference"], run.text, normalizer(run.meta["language"]))
        for run in every
        if run.meta["reference"]
    ]
    rate = error_rate(errors, normalizer(every[0].meta["language"]).name, rng)
    audio_s = sum(float(run.meta["audio_s"]) for run in every)
    words = runs.table("words")
    return {
        "model": every[0].meta["model"],
        "mode": every[0].meta["mode"],
        "utterances": len(every),
        "audio_s": audio_s,
        "wer": rate.pooled.value,
        "wer_low": rate.pooled.low,
        "wer_high": rate.pooled.high,
        "wer_mean": rate.mean,
        "deletions": rate.deletions,
        **_latencies(runs, rng),
        "confidence": metrics.confidence(words),
        "cpu_per_audio_s": metrics.cpu_per_audio_s(
            sum(float(r.meta["process_cpu_s"]) for r in every), audio_s
        ),
        "incomplete": sum(not run.meta["complete"] for run in every),
    }


def _latencies(runs: Runs, rng: np.random.Generator) -> dict[str, float]:
    streaming = runs.filter(mode=STREAMING)
    if not len(streaming):
        return {}
    words, chunks = streaming.table("words"), streaming.table("chunks")
    final = metrics.word_latencies(words, chunks)
    shown = metrics.word_latencies(words, chunks, reading="shown")
    m1 = pd.concat([run.partial_latencies().assign(run=run.id) for run in streaming])
    spoken = m1[m1["speech"]]
    finals = metrics.describe(final["latency_s"], list(final["run"]), rng=rng)
    covered = metrics.describe(spoken["latency_s"], list(spoken["run"]), rng=rng)
    return {
        "latency_mean_s": finals.mean.value,
        "latency_low_s": finals.mean.low,
        "latency_high_s": finals.mean.high,
        "latency_p50_s": finals.p50.value,
        "latency_p95_s": finals.p95.value,
        "shown_p50_s": float(shown["latency_s"].median()),
        "m1_mean_s": covered.mean.value,
        "m1_p95_s": covered.p95.value,
        "end_latency_s": float(np.mean([run.end_latency_s() for run in streaming])),
        "worst_gap_s": float(np.max([run.worst_gap_s() for run in streaming])),
        "unstable_ratio": metrics.unstable_ratio(streaming.table("partials")),
    }

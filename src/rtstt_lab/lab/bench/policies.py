"""Policies side by side, over decodes that were kept: nothing is decoded again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench import measuring
from rtstt_lab.lab.bench.decodes import DecodeLog, has_decodes, read_decodes
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import Heard, chunk_events, view_event
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.report import cell
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.policy import POLICIES, Policy
from rtstt_lab.recognition.rescoring import rescore
from rtstt_lab.replay.corpus import Corpus, Recording

_COLUMNS: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], Any], str], ...]] = (
    ("WER", lambda f: f["wer"], "percent"),
    ("final, mean", lambda f: f["final_latency_s"]["mean"], "s"),
    ("final, p95", lambda f: f["final_latency_s"]["p95"], "s"),
    ("shown, p50", lambda f: f["first_shown_latency_s"]["p50"], "s"),
    ("unstable", lambda f: f["unstable_ratio"], ""),
)


def score(
    corpus: Corpus,
    folder: Path,
    store: ModelStore,
    progress: Callable[[str, float], None],
    policies: Mapping[str, Policy] = POLICIES,
) -> dict[str, Any]:
    """Figures of each policy over the recordings whose decodes are kept.

    Latencies are computation-unaware: a word counts from the newest audio that had come in when its decode
    began. What they would be on a machine is for `benchmark.measure`.

    Args:
        corpus: recordings; those of which nothing is kept are left out.
        folder: of the decodes.
        store: finds the model that aligns references, and keeps their times.
        progress: told about each recording.
        policies: by name.

    Returns:
        The report, as JSON: ``policies`` has, by name, the keys of a system in ``docs/benchmarks.md``.

    Raises:
        UsageError: nothing is kept of any of the recordings.
        StorageError: what is kept cannot be read.
    """
    kept = Corpus(recording for recording in corpus if has_decodes(folder, recording))
    if not len(kept):
        raise UsageError("bench_no_log", path=str(folder))
    times = ReferenceTimes(store)
    references, failures = measuring.references_of(kept, times)
    languages = measuring.languages_of(kept)
    clips: dict[str, list[Clip]] = {name: [] for name in policies}
    conditions = set()
    for recording in kept:
        log = read_decodes(folder, recording)
        conditions.add(log.conditions)
        for name, policy in policies.items():
            clips[name].append(Clip(recording, retold(log, recording, policy)))
        progress(recording.id, recording.duration_s)
    return {
        "policies": {
            name: measuring.system_figures(heard, references, languages) for name, heard in clips.items()
        },
        "settings": {name: repr(policy) for name, policy in policies.items()},
        "decoded_under": sorted(conditions),
        "reference_times": measuring.reference_times(times),
        "failures": failures,
        "clips": measuring.clip_rows(clips, references),
    }


def retold(log: DecodeLog, recording: Recording, policy: Policy) -> Heard:
    """What would have been heard under this policy, on a machine that computes in no time."""
    views = [view_event(result, heard_s) for heard_s, result in rescore(log.decoded, policy, log.settings)]
    events = chunk_events(0, 0.0, recording.duration_s) + views
    return Heard(events, cpu_s=math.nan, rss_mb=math.nan)


def markdown(report: Mapping[str, Any]) -> str:
    """A row a policy and language."""
    rows = [
        (name, language, own)
        for name, whole in report["policies"].items()
        for language, own in (("en + es", whole), *whole["by_language"].items())
        if own["utterances"]
    ]
    return "\n".join(
        (
            "| policy | language | " + " | ".join(title for title, _, _ in _COLUMNS) + " |",
            "|---|---|" + "---:|" * len(_COLUMNS),
            *(
                f"| {name} | {language} | "
                + " | ".join(cell(read(own), unit) for _, read, unit in _COLUMNS)
                + " |"
                for name, language, own in rows
            ),
        )
    )

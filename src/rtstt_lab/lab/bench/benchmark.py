"""The benchmark itself: every recording through every system, one after the other, in one run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench import measuring
from rtstt_lab.lab.bench.decodes import write_decodes
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import System
from rtstt_lab.lab.bench.offline import BEAM_SIZE, OfflineSystem
from rtstt_lab.lab.bench.processes import SystemProcess
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.selection import HEADLINE_LANGUAGES
from rtstt_lab.lab.bench.server import ServerSystem
from rtstt_lab.lab.bench.streaming import RecognizerSystem
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel, ModelStore
from rtstt_lab.recognition.streaming import RecognizerSettings
from rtstt_lab.replay.corpus import Corpus

CHUNK_MS: Final = 250
SYSTEMS: Final = ("offline", "streaming")

Progress: TypeAlias = Callable[[str, float], None]
"""Told (id of the recording, seconds of audio that were worked through)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how.

    Attributes:
        corpus: recordings.
        model: resolved weights, of both systems.
        settings: of the recognizer.
        path: ``recognizer`` (virtual clock) or ``server`` (real time, over sockets).
        slowdown: multiplies the measured decode time.
        chunk_ms: of audio in a message.
        decodes: folder that what the recognizer decoded is kept in; ``None`` keeps nothing.

    Raises:
        UsageError: settings, a slowdown or a folder of decodes that a server does not take.
    """

    corpus: Corpus
    model: LocalModel
    settings: RecognizerSettings
    path: str = "recognizer"
    slowdown: float = 1.0
    chunk_ms: int = CHUNK_MS
    decodes: Path | None = None

    def __post_init__(self) -> None:
        special = self.settings != RecognizerSettings() or self.slowdown != 1.0 or self.decodes is not None
        if self.path == "server" and special:
            raise UsageError("bench_server_settings")

    @property
    def work_s(self) -> float:
        """Audio that all systems together will hear."""
        return len(SYSTEMS) * sum(recording.duration_s for recording in self.corpus)


def measure(plan: Plan, store: ModelStore, progress: Progress) -> dict[str, Any]:
    """Runs the plan and computes every figure.

    Args:
        plan: what to measure.
        store: finds the model that aligns references, and keeps their times.
        progress: told about each recording and system.

    Returns:
        The report, as JSON; ``docs/benchmarks.md`` says what each key means.
    """
    times = ReferenceTimes(store)
    references, failures = measuring.references_of(plan.corpus, times)
    clips = _hear_all(plan, progress)
    languages = measuring.languages_of(plan.corpus)
    return {
        "systems": {
            name: measuring.system_figures(heard, references, languages) for name, heard in clips.items()
        },
        "ratios": measuring.ratios(clips["streaming"], clips["offline"], languages),
        "reference_times": measuring.reference_times(times),
        "failures": failures + measuring.failures_of(clips),
        "clips": measuring.clip_rows(clips, references),
        "path": plan.path,
        "slowdown": plan.slowdown,
        "settings": asdict(plan.settings),
        "signature": asdict(_signature(plan, times.name)),
    }


def _hear_all(plan: Plan, progress: Progress) -> dict[str, list[Clip]]:
    clips: dict[str, list[Clip]] = {name: [] for name in SYSTEMS}
    offline = SystemProcess(partial(OfflineSystem, plan.model, slowdown=plan.slowdown))
    with offline, _streaming(plan) as streaming:
        systems: dict[str, System] = {"offline": offline, "streaming": streaming}
        for recording in plan.corpus:
            for name, system in systems.items():
                clips[name].append(measuring.hear(system, recording))
                progress(recording.id, recording.duration_s)
            if plan.decodes is not None:
                write_decodes(plan.decodes, clips["streaming"][-1], plan.settings)
    return clips


def _streaming(plan: Plan) -> AbstractContextManager[System]:
    if plan.path == "server":
        return ServerSystem.started(plan.model.name, chunk_ms=plan.chunk_ms)
    build = partial(
        RecognizerSystem, plan.model, plan.settings, chunk_ms=plan.chunk_ms, slowdown=plan.slowdown
    )
    return SystemProcess(build)


def _signature(plan: Plan, word_times: str) -> Signature:
    languages = sorted({recording.language for recording in plan.corpus} & set(HEADLINE_LANGUAGES))
    return Signature(
        corpus=f"{len(plan.corpus)} recordings {plan.corpus.hash[:12]}",
        normalizer=", ".join(normalizer(language).name for language in languages),
        model=f"{plan.model.name} {plan.model.sha256[:12]}",
        policy=f"{policy_of(plan.settings)}; offline: faster-whisper, beam {BEAM_SIZE}",
        chunk_ms=plan.chunk_ms,
        network="WebSocket, loopback" if plan.path == "server" else "none: recognizer alone",
        clock="real-time" if plan.path == "server" else "virtual, computing time added",
        word_times=word_times,
        version=package_version(),
        machine=machine(),
    )

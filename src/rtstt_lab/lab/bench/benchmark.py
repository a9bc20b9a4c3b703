"""The benchmark itself: every recording through every system, one after the other, in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import pandas as pd

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.errors import RtsttError, UsageError
from rtstt_lab.lab.bench import figures
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import System
from rtstt_lab.lab.bench.offline import BEAM_SIZE, OfflineSystem
from rtstt_lab.lab.bench.processes import SystemProcess
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.selection import HEADLINE_LANGUAGES, Kind, kind_of
from rtstt_lab.lab.bench.server import ServerSystem
from rtstt_lab.lab.bench.streaming import RecognizerSystem
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel, ModelStore
from rtstt_lab.recognition.streaming import RecognizerSettings
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio

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

    Raises:
        UsageError: settings or a slowdown that a server does not take.
    """

    corpus: Corpus
    model: LocalModel
    settings: RecognizerSettings
    path: str = "recognizer"
    slowdown: float = 1.0
    chunk_ms: int = CHUNK_MS

    def __post_init__(self) -> None:
        if self.path == "server" and (self.settings != RecognizerSettings() or self.slowdown != 1.0):
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
    failures: list[dict[str, str]] = []
    times = ReferenceTimes(store)
    references = _references(plan.corpus, times, failures)
    clips = _hear_all(plan, progress)
    for name, heard in clips.items():
        failures += [
            {"id": clip.recording.id, "system": name, "error": clip.failure} for clip in heard if clip.failure
        ]
    languages = sorted({recording.language for recording in plan.corpus if kind_of(recording) == "speech"})
    return {
        "systems": {name: _system(heard, references, languages) for name, heard in clips.items()},
        "ratios": _ratios(clips, languages),
        "reference_times": {
            "aligner": times.name,
            "bias_s": {
                language: {name: asdict(bias) for name, bias in times.bias(language).items()}
                for language in HEADLINE_LANGUAGES
            },
        },
        "failures": failures,
        "clips": [_clip_row(pair, references) for pair in zip(*clips.values(), strict=True)],
        "path": plan.path,
        "slowdown": plan.slowdown,
        "settings": asdict(plan.settings),
        "signature": asdict(_signature(plan, times.name)),
    }


def _references(
    corpus: Corpus, times: ReferenceTimes, failures: list[dict[str, str]]
) -> dict[str, pd.DataFrame]:
    references = {}
    for recording in corpus:
        if kind_of(recording) == "nonspeech":
            continue
        try:
            references[recording.id] = times.of(recording)
        except RtsttError as error:
            failures.append({"id": recording.id, "system": "reference times", "error": str(error)})
    return references


def _hear_all(plan: Plan, progress: Progress) -> dict[str, list[Clip]]:
    clips: dict[str, list[Clip]] = {name: [] for name in SYSTEMS}
    offline = SystemProcess(partial(OfflineSystem, plan.model, slowdown=plan.slowdown))
    with offline, _streaming(plan) as streaming:
        systems: dict[str, System] = {"offline": offline, "streaming": streaming}
        for recording in plan.corpus:
            for name, system in systems.items():
                clips[name].append(_hear(system, recording))
                progress(recording.id, recording.duration_s)
    return clips


def _streaming(plan: Plan) -> AbstractContextManager[System]:
    if plan.path == "server":
        return ServerSystem.started(plan.model.name, chunk_ms=plan.chunk_ms)
    build = partial(
        RecognizerSystem, plan.model, plan.settings, chunk_ms=plan.chunk_ms, slowdown=plan.slowdown
    )
    return SystemProcess(build)


def _hear(system: System, recording: Recording) -> Clip:
    language = None if kind_of(recording) == "nonspeech" else recording.language
    try:
        return Clip(recording, system.hear(load_audio(recording), language))
    except RtsttError as error:
        return Clip(recording, None, str(error))


def _of_kind(clips: Sequence[Clip], kind: Kind, languages: Sequence[str] | None = None) -> list[Clip]:
    return [
        clip
        for clip in clips
        if kind_of(clip.recording) == kind and (languages is None or clip.recording.language in languages)
    ]


def _system(
    clips: Sequence[Clip], references: figures.References, languages: Sequence[str]
) -> dict[str, Any]:
    speech = figures.speech_figures(_of_kind(clips, "speech", HEADLINE_LANGUAGES), references)
    nonspeech = figures.nonspeech_figures(_of_kind(clips, "nonspeech"))
    return {
        **speech,
        "loops": sum(clip.loops for clip in clips),
        "hallucinated_words": nonspeech["hallucinated_words"],
        "rss_mb": figures.rss_mb(clips),
        "by_language": {
            language: figures.speech_figures(_of_kind(clips, "speech", [language]), references)
            for language in languages
        },
        "digits": figures.digit_figures(_of_kind(clips, "digits"), references),
        "nonspeech": nonspeech,
    }


def _ratios(clips: Mapping[str, Sequence[Clip]], languages: Sequence[str]) -> dict[str, Any]:
    def compared(chosen: Sequence[str]) -> dict[str, Any]:
        offline, streaming = (_of_kind(clips[name], "speech", chosen) for name in SYSTEMS)
        return figures.compare(streaming, offline)

    return {
        **compared(HEADLINE_LANGUAGES),
        "by_language": {language: compared([language]) for language in languages},
    }


def _clip_row(clips: Sequence[Clip], references: figures.References) -> dict[str, Any]:
    recording = clips[0].recording
    return {
        "id": recording.id,
        "language": recording.language,
        "category": recording.category,
        "kind": kind_of(recording),
        "duration_s": recording.duration_s,
        "reference": recording.reference,
        **{name: figures.clip_figures(clip, references) for name, clip in zip(SYSTEMS, clips, strict=True)},
    }


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

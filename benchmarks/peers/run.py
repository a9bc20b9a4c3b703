"""The run: offline, this project's server, then each peer, every one over all recordings, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.peers.environments import Environment
from benchmarks.peers.known import NOT_MEASURED
from benchmarks.peers.peer import Peer, PeerSystem
from benchmarks.peers.transcripts import placed
from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.errors import RtsttError
from rtstt_lab.lab.bench import figures, measuring
from rtstt_lab.lab.bench.benchmark import CHUNK_MS
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import System
from rtstt_lab.lab.bench.offline import BEAM_SIZE, OfflineSystem
from rtstt_lab.lab.bench.processes import SystemProcess
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.selection import HEADLINE_LANGUAGES, kind_of
from rtstt_lab.lab.bench.server import ServerSystem
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel, ModelStore
from rtstt_lab.recognition.streaming import RecognizerSettings
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ

OFFLINE: Final = "offline"
OURS: Final = "rtstt_lab"
_WARM_UP_S: Final = 3.0

Progress = Callable[[str, str], None]
"""Told (system, id of the recording) before it is played."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        corpus: recordings.
        model: resolved weights, of all systems.
        peers: (key, peer, configuration), in the order in which they are run.
        venvs: folder of the peers' environments.
        threads: that a peer may compute with.
        chunk_ms: of audio in a message.
    """

    corpus: Corpus
    model: LocalModel
    peers: Sequence[tuple[str, Peer, str]]
    venvs: Path
    threads: int
    chunk_ms: int = CHUNK_MS


def measure(plan: Plan, store: ModelStore, progress: Progress) -> Iterator[dict[str, Any]]:
    """Runs the plan and computes every figure.

    Args:
        plan: what to measure.
        store: finds the model that aligns references, and keeps their times.
        progress: told about each recording and system.

    Yields:
        The report so far, as JSON, whenever a system is done, so that a run that is ended early is not lost;
        ``docs/benchmarks.md`` says what each key means.

    Raises:
        RtsttError: offline, or this project, does not work; of a peer it is reported.
    """
    times = ReferenceTimes(store)
    references, failures = measuring.references_of(plan.corpus, times)
    languages = measuring.languages_of(plan.corpus)
    clips: dict[str, list[Clip]] = {}
    systems: dict[str, dict[str, Any]] = {}
    ratios: dict[str, dict[str, Any]] = {}
    unavailable = dict(NOT_MEASURED)
    conditions = {
        "reference_times": measuring.reference_times(times),
        "path": "server",
        "signature": asdict(_signature(plan, times.name)),
    }
    for each in _systems(plan):
        try:
            heard = each.hear_all(plan, progress)
        except RtsttError as error:
            if not each.is_peer:
                raise
            unavailable[each.name] = str(error)
            continue
        if each.is_peer:
            heard = [_placed(clip, references) for clip in heard]
        clips[each.name] = heard
        systems[each.name] = {**each.about, **measuring.system_figures(heard, references, languages)}
        if each.name != OFFLINE:
            ratios[each.name] = measuring.ratios(heard, clips[OFFLINE], languages)
        yield {
            "systems": systems,
            "ratios": ratios,
            "failures": failures + measuring.failures_of(clips),
            "unavailable": unavailable,
            "clips": measuring.clip_rows(clips, references),
            **conditions,
        }


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A system to be measured: what starts it, and what the report says about it."""

    name: str
    start: Callable[[], AbstractContextManager[System]]
    about: dict[str, Any]
    is_peer: bool = False

    def hear_all(self, plan: Plan, progress: Progress) -> list[Clip]:
        """All recordings, one after the other.

        Raises:
            RtsttError: it does not work at all.
        """
        with self.start() as system:
            _warm_up(system, plan.corpus)
            clips = []
            for recording in plan.corpus:
                progress(self.name, recording.id)
                clips.append(measuring.hear(system, recording))
        return clips


def _systems(plan: Plan) -> Iterator[_Candidate]:
    title = f"offline faster-whisper, beam {BEAM_SIZE}"
    offline = {"version": package_version(), "title": title, "settings": {}}
    yield _Candidate(OFFLINE, lambda: SystemProcess(partial(OfflineSystem, plan.model)), offline)
    settings = {"policy": policy_of(RecognizerSettings())}
    ours = {"version": package_version(), "title": OURS, "settings": settings}
    yield _Candidate(OURS, lambda: ServerSystem.started(plan.model.name, chunk_ms=plan.chunk_ms), ours)
    for key, peer, configuration in plan.peers:
        environment = Environment(peer.environment, plan.venvs)
        about = {
            "version": environment.version(peer.package),
            "title": peer.name,
            "protocol": peer.protocol,
            "configuration": configuration,
            "settings": {**peer.configurations[configuration], "threads": plan.threads},
        }
        start = partial(_peer, plan, peer, configuration, environment)
        yield _Candidate(f"{key}/{configuration}", start, about, is_peer=True)


@contextmanager
def _peer(plan: Plan, peer: Peer, configuration: str, environment: Environment) -> Iterator[System]:
    environment.prepare()
    with (
        TemporaryDirectory(prefix="rtstt-peer-") as work,
        PeerSystem.started(
            peer,
            configuration,
            environment,
            plan.model.path,
            Path(work),
            threads=plan.threads,
            chunk_ms=plan.chunk_ms,
        ) as system,
    ):
        yield system


def _warm_up(system: System, corpus: Corpus) -> None:
    """The beginning of the first speech, unmeasured: what is loaded at first use is loaded then.

    Raises:
        RtsttError: the system does not work at all.
    """
    first = next((each for each in corpus if kind_of(each) == "speech"), None)
    if first is not None:
        system.hear(load_audio(first)[: int(_WARM_UP_S * SAMPLE_RATE_HZ)], first.language)


def _placed(clip: Clip, references: figures.References) -> Clip:
    reference = references.get(clip.recording.id)
    if clip.heard is None or reference is None:
        return clip
    return Clip(clip.recording, replace(clip.heard, events=placed(clip.heard.events, reference)))


def _signature(plan: Plan, word_times: str) -> Signature:
    languages = sorted({recording.language for recording in plan.corpus} & set(HEADLINE_LANGUAGES))
    return Signature(
        corpus=f"{len(plan.corpus)} recordings {plan.corpus.hash[:12]}",
        normalizer=", ".join(normalizer(language).name for language in languages),
        model=f"{plan.model.name} {plan.model.sha256[:12]}",
        policy="each system's own",
        chunk_ms=plan.chunk_ms,
        network="each system's own protocol, on this machine",
        clock="real-time",
        word_times=word_times,
        version=package_version(),
        machine=machine(),
    )

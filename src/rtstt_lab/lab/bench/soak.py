"""``rtstt bench soak``: many sessions after one another on one server, and what is left when it rests."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import numpy as np
import psutil
from prometheus_client.parser import text_string_to_metric_families

from rtstt_lab.analysis.drift import trend
from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.statistics import Estimate
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.sources import LARGEST_CHUNK_MS, AudioChunk, as_taken, pcm_chunks
from rtstt_lab.client.streaming import AHEAD_S
from rtstt_lab.errors import RtsttError
from rtstt_lab.lab.bench.meters import tree_rss_mb
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio
from rtstt_lab.replay.faults import Corrupted, Cut, Dropped, FaultSchedule
from rtstt_lab.replay.realtime import replay_in_real_time

Progress = Callable[[str, float], None]
"""Told (id of the recording, seconds of it) when a session is over."""

ROUNDS_PER_HOUR: Final = 20
FEWEST_ROUNDS: Final = 3
REST_S: Final = 12.0
"""Longer than a server keeps free memory for itself."""
WARM_UP: Final = 0.25
"""Share of the rounds before memory is looked at: by then everything is as large as it gets."""
_QUIET_S: Final = 60.0
_POLL_S: Final = 0.25
_ANSWER_S: Final = 60.0
_FEW: Final = {"max-new-sessions-per-min": 100_000, "max-requests-per-min": 1_000_000}
"""Limits meant for foreign clients, out of the way of a benchmark."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played to the server.

    Attributes:
        corpus: recordings, played in turns.
        model: of the server.
        hours: of session time.
        parallel: sessions at once.
        rest_s: the server rests so long after each round.
        seed: of the faults.
    """

    corpus: Corpus
    model: LocalModel
    hours: float = 1.0
    parallel: int = 2
    rest_s: float = REST_S
    seed: int = 0

    @property
    def rounds(self) -> int:
        """How often the server rests."""
        return max(FEWEST_ROUNDS, round(ROUNDS_PER_HOUR * self.hours))

    @property
    def work_s(self) -> float:
        """Audio of all sessions together, about."""
        return 3600 * self.hours


@dataclass(frozen=True, slots=True)
class AtRest:
    """The server when no session is open.

    Attributes:
        audio_s: of all sessions until then.
        sessions: that had been until then.
        rss_mb: resident memory of the process tree.
        files: open file descriptors.
        threads: of the process.
        tasks: of its event loop.
        open_sessions: as it says itself.
        journals: files in its journal.
    """

    audio_s: float
    sessions: int
    rss_mb: float
    files: int
    threads: int
    tasks: int
    open_sessions: int
    journals: int


@dataclass(frozen=True, slots=True)
class _Session:
    recording: Recording
    faults: FaultSchedule
    seed: int


def measure(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Plays an hour, or as long as is planned, faster than real time.

    Every other session is cut once or twice and has chunks damaged and dropped.

    Args:
        plan: what to play.
        progress: told about each session.

    Returns:
        The report, as JSON; ``docs/benchmarks.md`` says what each key means.

    Raises:
        ServiceError: the server cannot be started.
    """
    began_s = time.monotonic()
    run = asyncio.run(_Soak(plan, progress).run())
    first, last = run.samples[0], run.samples[-1]
    steady = run.samples[math.floor(WARM_UP * len(run.samples)) :]
    counts = ("files", "threads", "tasks", "open_sessions", "journals")
    by_hour = _slope([(sample.audio_s / 3600, sample.rss_mb) for sample in steady])
    by_session = _slope([(sample.sessions, sample.rss_mb) for sample in steady])
    return {
        "session_s": round(last.audio_s, 1),
        "sessions": last.sessions,
        "wall_s": round(time.monotonic() - began_s, 1),
        "memory": {
            "slope_mb_per_hour": _number(by_hour.value),
            "slope_mb_per_hour_interval": _interval(by_hour),
            "slope_mb_per_session": _number(by_session.value),
            "slope_mb_per_session_interval": _interval(by_session),
            "first_mb": round(first.rss_mb, 2),
            "last_mb": round(last.rss_mb, 2),
        },
        "first": {name: getattr(first, name) for name in counts},
        "last": {name: getattr(last, name) for name in counts},
        "back": all(getattr(last, name) <= getattr(first, name) for name in counts),
        "reconnections": run.reconnections,
        "lost_chunks": run.lost,
        "failures": run.failures,
        "samples": [asdict(sample) for sample in run.samples],
        "signature": asdict(_signature(plan)),
    }


class _Soak:
    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.samples: list[AtRest] = []
        self.failures: list[dict[str, str]] = []
        self.reconnections = self.lost = 0
        self._plan = plan
        self._progress = progress
        self._audio_s = 0.0
        self._sessions = 0
        self._chunks: dict[str, Sequence[AudioChunk]] = {
            recording.id: list(pcm_chunks(load_audio(recording), chunk_ms=LARGEST_CHUNK_MS))
            for recording in plan.corpus
        }

    async def run(self) -> _Soak:
        limits = (part for name, value in _FEW.items() for part in (f"--{name}", str(value)))
        sessions = _sessions(self._plan)
        with TemporaryDirectory(prefix="rtstt-bench-") as name:
            folder = Path(name)
            server = LocalServer(
                model=self._plan.model.name,
                output=folder / "output",
                arguments=("--journal", str(folder / "journal"), *limits),
            )
            async with server:
                for number in range(1, self._plan.rounds + 1):
                    until_s = self._plan.work_s * number / self._plan.rounds
                    await asyncio.gather(
                        *(self._work(server, sessions, until_s) for _ in range(self._plan.parallel))
                    )
                    self.samples.append(await self._rest(server, folder / "journal"))
        return self

    async def _work(self, server: LocalServer, sessions: Iterator[_Session], until_s: float) -> None:
        while self._audio_s < until_s:
            session = next(sessions)
            self._audio_s += session.recording.duration_s
            self._sessions += 1
            try:
                await self._play(server, session)
            except RtsttError as error:
                self.failures.append({"id": session.recording.id, "error": str(error)})
            self._progress(session.recording.id, session.recording.duration_s)

    async def _play(self, server: LocalServer, session: _Session) -> None:
        replayed = await replay_in_real_time(
            self._chunks[session.recording.id],
            server.url,
            pace=as_taken,
            ahead_s=AHEAD_S,
            token=server.token,
            language=session.recording.language,
            faults=session.faults,
            seed=session.seed,
        )
        result = replayed.result
        states = result.tables["states"]
        self.reconnections += int((states["link"] == "reconnecting").sum())
        self.lost += result.ledger.captured - result.ledger.accepted
        if result.error is not None:
            raise result.error

    async def _rest(self, server: LocalServer, journal: Path) -> AtRest:
        """Waits until no session is open and memory has been given back, and looks."""
        headers = {"Authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, trust_env=False, timeout=_ANSWER_S
        ) as http:
            quiet_by_s = time.monotonic() + _QUIET_S
            while (await _told(http))["rtstt_sessions"] and time.monotonic() < quiet_by_s:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(_POLL_S)
            await asyncio.sleep(self._plan.rest_s)
            told = await _told(http)
            process = psutil.Process(server.pid)
            return AtRest(
                audio_s=self._audio_s,
                sessions=self._sessions,
                rss_mb=tree_rss_mb(server.pid),
                files=process.num_fds(),
                threads=process.num_threads(),
                tasks=int(told["rtstt_tasks"]),
                open_sessions=int(told["rtstt_sessions"]),
                journals=_journals(journal),
            )


async def _told(http: httpx.AsyncClient) -> dict[str, float]:
    """The server's own figures."""
    families = text_string_to_metric_families((await http.get("/metrics")).raise_for_status().text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def _journals(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.jsonl"))


def _sessions(plan: Plan) -> Iterator[_Session]:
    """Recordings in turns, every other one disturbed soon: on the wall clock sessions are short."""
    rng = np.random.default_rng(plan.seed)
    for number, recording in enumerate(cycle(plan.corpus)):
        faults = FaultSchedule()
        if number % 2:
            length_s = recording.duration_s / 10
            cuts = [Cut(at_s=rng.uniform(0, length_s), duration_s=rng.uniform(0.1, 0.5))]
            if rng.random() < 0.5:
                cuts.append(Cut(at_s=cuts[0].end_s + rng.uniform(1.0, 3.0), duration_s=0.1))
            faults = FaultSchedule.of(
                *cuts,
                Corrupted(at_s=0, duration_s=10.0, chunks=2),
                Dropped(at_s=0, duration_s=10.0, chunks=2),
            )
        yield _Session(recording, faults, int(rng.integers(2**31)))


def _slope(points: Sequence[tuple[float, float]]) -> Estimate:
    return trend(points, np.random.default_rng(0))


def _interval(estimate: Estimate) -> list[float | None] | None:
    return None if math.isnan(estimate.low) else [_number(estimate.low), _number(estimate.high)]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _signature(plan: Plan) -> Signature:
    return Signature(
        corpus=f"{len(plan.corpus)} recordings {plan.corpus.hash[:12]}",
        normalizer="none",
        model=f"{plan.model.name} {plan.model.sha256[:12]}",
        policy=policy_of(RecognizerSettings()),
        chunk_ms=LARGEST_CHUNK_MS,
        network=f"WebSocket, loopback; every other session through a proxy with cuts; seed {plan.seed}",
        clock=f"as fast as the server takes it, {plan.parallel} sessions at once",
        word_times="none",
        version=package_version(),
        machine=machine(),
    )

"""``rtstt bench faults``: breaks things on purpose, on real sockets and in real speech, and counts losses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.sources import CHUNK_MS, AudioChunk, pcm_chunks
from rtstt_lab.lab.bench import campaign, damage
from rtstt_lab.lab.bench.campaign import Trial
from rtstt_lab.lab.bench.mortal import MortalServer
from rtstt_lab.lab.bench.trials import Outcome, undergo
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.replay.speech import detect_speech

Progress = Callable[[str, float], None]
"""Told (id of the recording, seconds of it that were played) when a session is over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to whom.

    Attributes:
        corpus: recordings of speech.
        model: of the servers.
        kinds: of faults, of `campaign.KINDS`.
        each: so many faults of a kind.
        seed: of when they happen.
        parallel: sessions at once, each with a server of its own.
    """

    corpus: Corpus
    model: LocalModel
    kinds: Sequence[str] = campaign.KINDS
    each: int = campaign.EACH
    seed: int = 0
    parallel: int = 1

    def trials(self) -> list[Trial]:
        """The sessions, in their order.

        Raises:
            UsageError: an unknown kind, or one that no recording has room for.
        """
        speech_s = {recording.id: detect_speech(load_audio(recording)) for recording in self.corpus}
        spoken = [recording for recording in self.corpus if len(speech_s[recording.id])]
        return campaign.draw_up(spoken, speech_s, kinds=self.kinds, each=self.each, seed=self.seed)


def measure(plan: Plan, trials: Sequence[Trial], progress: Progress) -> dict[str, Any]:
    """Runs a campaign in real time and computes every figure.

    Args:
        plan: what it is made of.
        trials: the plan's own.
        progress: told about each session.

    Returns:
        The report, as JSON; ``docs/benchmarks.md`` says what each key means.

    Raises:
        ServiceError: a server cannot be started.
    """
    report = damage.assess(asyncio.run(_run(plan, trials, progress)))
    return report | {
        "goals": damage.goals(report),
        "seed": plan.seed,
        "parallel": plan.parallel,
        "signature": asdict(_signature(plan)),
    }


async def _run(plan: Plan, trials: Sequence[Trial], progress: Progress) -> list[Outcome]:
    waiting = deque(enumerate(trials))
    outcomes: dict[int, Outcome] = {}
    chunks: dict[str, Sequence[AudioChunk]] = {
        recording.id: list(pcm_chunks(load_audio(recording)))
        for recording in {trial.recording for trial in trials}
    }

    async def work() -> None:
        async with MortalServer(plan.model.name) as server:
            while waiting:
                number, trial = waiting.popleft()
                outcomes[number] = await undergo(trial, chunks[trial.recording.id], server)
                progress(trial.recording.id, trial.recording.duration_s)

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(plan.parallel, len(trials))):
                workers.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [outcomes[number] for number in range(len(trials))]


def total_s(trials: Sequence[Trial]) -> float:
    """Audio of all sessions together."""
    return sum(trial.recording.duration_s for trial in trials)


def _signature(plan: Plan) -> Signature:
    languages = sorted({recording.language for recording in plan.corpus})
    return Signature(
        corpus=f"{len(plan.corpus)} recordings {plan.corpus.hash[:12]}",
        normalizer=", ".join(normalizer(language).name for language in languages),
        model=f"{plan.model.name} {plan.model.sha256[:12]}",
        policy=policy_of(RecognizerSettings()),
        chunk_ms=CHUNK_MS,
        network=f"WebSocket, loopback, proxy; {plan.each} each of {', '.join(plan.kinds)}; seed {plan.seed}",
        clock=f"real-time, {plan.parallel} sessions at once",
        word_times="the recognizer's own",
        version=package_version(),
        machine=machine(),
    )

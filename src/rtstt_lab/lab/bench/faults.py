"""``rtstt bench faults``: breaks things on purpose, on real sockets and in real speech, and counts losses."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.sources import CHUNK_MS, AudioChunk, pcm_chunks
from rtstt_lab.errors import UsageError
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

_MOST_PARTS: Final = 4
"""Of a campaign; what still has not met a session after so many draws will not."""


@dataclass(frozen=True)
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

    @cached_property
    def wanted(self) -> Counter[str]:
        """So many faults of each kind; raises a `UsageError` for an unknown one."""
        return campaign.wanted(self.kinds, self.each)

    @cached_property
    def speech_s(self) -> dict[str, NDArray[np.float64]]:
        """By recording id, where somebody speaks: shape ``(n, 2)``."""
        return {recording.id: detect_speech(load_audio(recording)) for recording in self.corpus}

    def trials(self) -> list[Trial]:
        """The sessions, in their order.

        Raises:
            UsageError: an unknown kind, one that no recording has room for, or nobody speaks in any.
        """
        return self._part(0, self.wanted, known=())

    def more(self, outcomes: Sequence[Outcome], part: int) -> list[Trial]:
        """Sessions with the faults that have not met theirs: it was over, or the link was lost already."""
        known = [outcome.trial.recording.id for outcome in outcomes]
        return self._part(part, self.outstanding(outcomes), known)

    def outstanding(self, outcomes: Sequence[Outcome]) -> Counter[str]:
        """What is wanted and has not happened."""
        everything = (suffered for outcome in outcomes for suffered in outcome.suffered)
        return campaign.outstanding(self.wanted, (each.attempt.kind for each in everything if each.happened))

    def _part(self, part: int, counts: Counter[str], known: Sequence[str]) -> list[Trial]:
        spoken = [recording for recording in self.corpus if len(self.speech_s[recording.id])]
        if not spoken:
            raise UsageError("bench_nothing")
        trials = campaign.draw_up(spoken, self.speech_s, counts, seed=self.seed, part=part)
        return campaign.with_clean_runs(trials, seed=self.seed, known=known)


def measure(plan: Plan, trials: Sequence[Trial], progress: Progress) -> dict[str, Any]:
    """Runs a campaign in real time and computes every figure; adds sessions until all faults have happened.

    Args:
        plan: what it is made of.
        trials: the plan's own.
        progress: told about each session.

    Returns:
        The report, as JSON; ``docs/benchmarks.md`` says what each key means.

    Raises:
        ServiceError: a server cannot be started.
    """
    outcomes = asyncio.run(_run(plan, trials, progress))
    parts = 1
    while parts < _MOST_PARTS and plan.outstanding(outcomes):
        outcomes += asyncio.run(_run(plan, plan.more(outcomes, parts), progress))
        parts += 1
    report, outstanding = damage.assess(outcomes), plan.outstanding(outcomes)
    return report | {
        "goals": damage.goals(report) | {"faults": not outstanding},
        "outstanding": dict(outstanding),
        "parts": parts,
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
                recording_id = trial.recording.id
                outcomes[number] = await undergo(
                    trial, chunks[recording_id], plan.speech_s[recording_id], server
                )
                progress(recording_id, trial.recording.duration_s)

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

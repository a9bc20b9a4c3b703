"""A seeded campaign of faults: which happens when in which session, drawn up before anything runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.errors import UsageError
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.replay.faults import (
    Bandwidth,
    Corrupted,
    Cut,
    Delay,
    Dropped,
    Duplicated,
    Fault,
    FaultSchedule,
    HalfOpen,
    Kill,
    LinkFault,
    Reordered,
    Sigstop,
)

FINALIZING: Final = "cut_while_finalizing"
RESUME: Final = "cut_during_resume"
KINDS: Final = (
    *("cut", FINALIZING, RESUME, "half_open", "sigstop", "kill"),
    *("latency", "bandwidth", "corrupted", "duplicated", "dropped", "reordered"),
)
EACH: Final = 20
CLEAN_RUNS: Final = 3
APART_S: Final = 3.0
"""Between the end of a fault, its recovery included, and the beginning of the next."""

_LEAD_IN_S: Final = (1.0, 3.0)
_IN_SPEECH: Final = 0.97
_UNNOTICED_S: Final = (1.0, 5.0)
_NOTICED_S: Final = (10.5, 12.0)
"""Beyond the 10 s of silence after which a link counts as lost (L4)."""
_RETRY_S: Final = 1.0
"""When a client asks for a new link after the first loss (L4)."""
_STEADY_S: Final = 12.0
"""After a loss, until the client's waits begin anew: no other loss before that."""
_CHUNK_S: Final = 0.25
_LYING_IN_WAIT_S: Final = 60.0
"""For chunks: while a link is being found again, none is sent."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One fault of the campaign; some are made of several of a link's.

    Attributes:
        kind: one of `KINDS`.
        faults: on the schedule's clock, in order; the last one is what it is about.
        after_stop: the same, where times count from stop.
    """

    kind: str
    faults: tuple[Fault, ...] = ()
    after_stop: tuple[LinkFault, ...] = ()

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Whatever their times count from."""
        return self.faults + self.after_stop


@dataclass(frozen=True)
class Trial:
    """One session of the campaign.

    Attributes:
        recording: what is played.
        attempts: what happens, in the order of time; nothing in a clean session.
        seed: of jitter and corruption.
    """

    recording: Recording
    attempts: tuple[Attempt, ...] = ()
    seed: int = 0

    @cached_property
    def schedule(self) -> FaultSchedule:
        """All of it."""
        return FaultSchedule.of(
            *(fault for attempt in self.attempts for fault in attempt.faults),
            after_stop=(fault for attempt in self.attempts for fault in attempt.after_stop),
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """An attempt without its time: its faults count from 0.

    Attributes:
        needed_s: for all of it and the recovery.
        loses_link: so that the client has to come back.
    """

    kind: str
    faults: tuple[Fault, ...]
    needed_s: float
    loses_link: bool

    def at(self, at_s: float) -> Attempt:
        return Attempt(self.kind, tuple(replace(fault, at_s=fault.at_s + at_s) for fault in self.faults))


def wanted(kinds: Sequence[str] = KINDS, each: int = EACH) -> Counter[str]:
    """So many faults of each kind.

    Raises:
        UsageError: an unknown kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError("bench_faults_kind", kind=kind, known=", ".join(KINDS))
    return Counter(dict.fromkeys(kinds, each))


def draw_up(
    recordings: Sequence[Recording],
    speech_s: Mapping[str, NDArray[np.float64]],
    counts: Mapping[str, int],
    *,
    seed: int = 0,
    part: int = 0,
) -> list[Trial]:
    """Spreads so many faults of each kind over as many sessions as they need.

    Within a session the next fault begins `APART_S` after the recovery from the one before at the earliest,
    and nearly always while somebody speaks; a link is lost again only after it has been steady.

    Args:
        recordings: played in turns.
        speech_s: by recording id, where somebody speaks: shape ``(n, 2)``.
        counts: how many of which kind, of `KINDS`.
        seed: of everything.
        part: of the campaign; each is another draw.

    Returns:
        In the order in which they are to run.

    Raises:
        UsageError: a kind that no recording has room for.
    """
    rng = np.random.default_rng((seed, part))
    drafts = [_draft(kind, rng) for kind, count in counts.items() if kind != FINALIZING for _ in range(count)]
    drafts = [drafts[i] for i in rng.permutation(len(drafts))]
    endings = counts.get(FINALIZING, 0)
    trials: list[Trial] = []
    placed_in_vain = 0
    for recording in cycle([recordings[i] for i in rng.permutation(len(recordings))]):
        if not drafts and not endings:
            break
        attempts = list(_filled(recording, speech_s[recording.id], drafts, rng))
        if endings:
            attempts.append(_at_the_end(rng))
            endings -= 1
        if attempts:
            trials.append(Trial(recording, tuple(attempts), int(rng.integers(2**31))))
        placed_in_vain = 0 if attempts else placed_in_vain + 1
        if placed_in_vain == len(recordings):
            needed_s = math.ceil(_LEAD_IN_S[1] + drafts[0].needed_s)
            raise UsageError("bench_faults_short", kind=drafts[0].kind, needed_s=needed_s)
    return [trials[i] for i in rng.permutation(len(trials))]


def with_clean_runs(trials: Sequence[Trial], *, seed: int = 0, known: Iterable[str] = ()) -> list[Trial]:
    """The same with `CLEAN_RUNS` sessions of each recording strewn in that nothing happens to.

    Args:
        trials: of one part.
        seed: of the order.
        known: ids of recordings that have theirs.
    """
    used = {trial.recording.id: trial.recording for trial in trials}
    fresh = [recording for recording_id, recording in used.items() if recording_id not in set(known)]
    mixed = [*trials, *(Trial(recording) for recording in fresh for _ in range(CLEAN_RUNS))]
    return [mixed[i] for i in np.random.default_rng(seed).permutation(len(mixed))]


def outstanding(counts: Mapping[str, int], delivered: Iterable[str]) -> Counter[str]:
    """What is still wanted of each kind; kinds that are done are left out.

    Args:
        counts: how many are wanted.
        delivered: the kind of each fault that met its session.
    """
    return +(Counter(counts) - Counter(delivered))


def _filled(
    recording: Recording, speech_s: NDArray[np.float64], drafts: list[_Draft], rng: np.random.Generator
) -> Iterator[Attempt]:
    """Takes from the drafts what finds room in one session; those that lose the link go first."""
    free_s, steady_s = float(rng.uniform(*_LEAD_IN_S)), 0.0
    while True:
        at_s = free_s + float(rng.uniform(0.0, 0.5))
        if rng.random() < _IN_SPEECH:
            at_s = _next_speech(at_s, speech_s)
        fitting = [
            draft
            for draft in drafts
            if at_s + draft.needed_s <= recording.duration_s and (not draft.loses_link or at_s >= steady_s)
        ]
        if not fitting:
            return
        draft = max(fitting, key=lambda each: each.loses_link)
        drafts.remove(draft)
        yield draft.at(at_s)
        free_s = at_s + draft.needed_s + APART_S
        if draft.loses_link:
            steady_s = at_s + draft.needed_s + _STEADY_S


def _next_speech(at_s: float, speech_s: NDArray[np.float64]) -> float:
    later = speech_s[speech_s[:, 1] > at_s]
    return max(at_s, float(later[0, 0]) + 0.1) if len(later) else math.inf


def _at_the_end(rng: np.random.Generator) -> Attempt:
    """A cut behind stop, on a link that is so slow then that no answer to stop can have come before.

    However fast the server is: it hears of stop after the delay, and what it says takes as long again.
    """
    delay_s = round(float(rng.uniform(0.05, 0.4)), 3)
    at_s = round(delay_s * float(rng.uniform(0.3, 1.9)), 3)
    slow = Delay(at_s=0, duration_s=at_s, delay_s=delay_s)
    return Attempt(
        FINALIZING, after_stop=(slow, Cut(at_s=at_s, duration_s=round(float(rng.uniform(0.3, 3.0)), 3)))
    )


def _draft(kind: str, rng: np.random.Generator) -> _Draft:
    def some(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 3)

    loses_link = kind in ("cut", RESUME, "kill")
    recovery_s, taken_s = 0.5, math.inf
    faults: tuple[Fault, ...]
    match kind:
        case "cut":
            faults, recovery_s = (Cut(at_s=0, duration_s=some(0.3, 3.0)),), 2.5
        case "cut_during_resume":
            first = Cut(at_s=0, duration_s=0.6)
            slow = Delay(at_s=first.end_s, duration_s=1.2, delay_s=0.05)
            again = Cut(at_s=_RETRY_S + some(0.02, 0.4), duration_s=some(0.3, 1.0))
            faults, recovery_s = (first, slow, again), 3.0
        case "half_open" | "sigstop":
            loses_link = bool(rng.random() < 0.4)
            still_s = some(*(_NOTICED_S if loses_link else _UNNOTICED_S))
            made = HalfOpen if kind == "half_open" else Sigstop
            faults, recovery_s = (made(at_s=0, duration_s=still_s),), 4.0 if loses_link else 0.5
        case "kill":
            faults, recovery_s = (Kill(at_s=0, duration_s=some(0.1, 1.0)),), 8.0
        case "latency":
            delay = Delay(at_s=0, duration_s=some(1.0, 3.0), delay_s=some(0.1, 0.8), jitter_s=some(0.0, 0.2))
            faults = (delay,)
        case "bandwidth":
            slow_s = some(1.5, 4.0)
            faults, recovery_s = (Bandwidth(at_s=0, duration_s=slow_s, bytes_per_s=some(8e3, 24e3)),), 2.0
        case _:
            tampered = {"corrupted": Corrupted, "duplicated": Duplicated, "dropped": Dropped}
            chunks = int(rng.integers(1, 4))
            made_of = tampered.get(kind, Reordered)
            faults = (made_of(at_s=0, duration_s=_LYING_IN_WAIT_S, chunks=chunks),)
            taken_s = _CHUNK_S * (chunks + 1)
    length_s = min(taken_s, max(fault.end_s for fault in faults))
    return _Draft(kind, faults, length_s + recovery_s, loses_link)

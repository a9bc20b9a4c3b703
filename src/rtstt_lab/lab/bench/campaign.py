"""A seeded campaign of faults: which happens when in which session, drawn up before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    Reordered,
    Sigstop,
)
from rtstt_lab.replay.speech import holds_speech

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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One fault of the campaign; some are made of several of a link's.

    Attributes:
        kind: one of `KINDS`.
        faults: on the schedule's clock, in order.
        in_speech: somebody is speaking when it begins.
    """

    kind: str
    faults: tuple[Fault, ...]
    in_speech: bool

    @property
    def at_s(self) -> float:
        """Its beginning."""
        return self.faults[0].at_s

    @property
    def end_s(self) -> float:
        """When the last of it is over."""
        return max(fault.end_s for fault in self.faults)


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
        return FaultSchedule.of(*(fault for attempt in self.attempts for fault in attempt.faults))


@dataclass(frozen=True, slots=True)
class _Draft:
    """An attempt without its time: its faults count from 0."""

    kind: str
    faults: tuple[Fault, ...]
    recovery_s: float
    loses_link: bool

    @property
    def length_s(self) -> float:
        return max(fault.end_s for fault in self.faults)

    @property
    def needed_s(self) -> float:
        return self.length_s + self.recovery_s

    def at(self, at_s: float, *, in_speech: bool) -> Attempt:
        moved = (replace(fault, at_s=fault.at_s + at_s) for fault in self.faults)
        return Attempt(self.kind, tuple(moved), in_speech)


def draw_up(
    recordings: Sequence[Recording],
    speech_s: Mapping[str, NDArray[np.float64]],
    *,
    kinds: Sequence[str] = KINDS,
    each: int = EACH,
    seed: int = 0,
) -> list[Trial]:
    """Spreads so many faults of each kind over as many sessions as they need, with clean sessions among them.

    Within a session the next fault begins `APART_S` after the recovery from the one before at the earliest,
    and nearly always while somebody speaks; a link is lost again only after it has been steady.

    Args:
        recordings: played in turns.
        speech_s: by recording id, where somebody speaks: shape ``(n, 2)``.
        kinds: of `KINDS`.
        each: of a kind.
        seed: of everything.

    Returns:
        In the order in which they are to run; `CLEAN_RUNS` clean ones of every recording that is used.

    Raises:
        UsageError: an unknown kind, or one that no recording has room for.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError("bench_faults_kind", kind=kind, known=", ".join(KINDS))
    rng = np.random.default_rng(seed)
    drafts = [_draft(kind, rng) for kind in kinds if kind != FINALIZING for _ in range(each)]
    drafts = [drafts[i] for i in rng.permutation(len(drafts))]
    endings = each if FINALIZING in kinds else 0
    trials: list[Trial] = []
    placed_in_vain = 0
    for recording in cycle([recordings[i] for i in rng.permutation(len(recordings))]):
        if not drafts and not endings:
            break
        attempts = list(_filled(recording, speech_s[recording.id], drafts, rng))
        if endings:
            attempts.append(_at_the_end(recording, rng))
            endings -= 1
        if attempts:
            trials.append(Trial(recording, tuple(attempts), int(rng.integers(2**31))))
        placed_in_vain = 0 if attempts else placed_in_vain + 1
        if placed_in_vain == len(recordings):
            needed_s = math.ceil(_LEAD_IN_S[1] + drafts[0].needed_s)
            raise UsageError("bench_faults_short", kind=drafts[0].kind, needed_s=needed_s)
    used = {trial.recording.id: trial.recording for trial in trials}
    trials += [Trial(recording) for recording in used.values() for _ in range(CLEAN_RUNS)]
    return [trials[i] for i in rng.permutation(len(trials))]


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
        yield draft.at(at_s, in_speech=holds_speech(at_s, 0.0, speech_s))
        free_s = at_s + draft.needed_s + APART_S
        if draft.loses_link:
            steady_s = at_s + draft.needed_s + _STEADY_S


def _next_speech(at_s: float, speech_s: NDArray[np.float64]) -> float:
    later = speech_s[speech_s[:, 1] > at_s]
    return max(at_s, float(later[0, 0]) + 0.1) if len(later) else math.inf


def _at_the_end(recording: Recording, rng: np.random.Generator) -> Attempt:
    """A cut right behind stop, which is pressed when the recording is over."""
    at_s = recording.duration_s + rng.uniform(0.02, 0.2)
    return Attempt(FINALIZING, (Cut(at_s=at_s, duration_s=rng.uniform(0.3, 3.0)),), in_speech=False)


def _draft(kind: str, rng: np.random.Generator) -> _Draft:
    def some(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 3)

    loses_link = kind in ("cut", RESUME, "kill")
    recovery_s = 0.5
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
            length_s = some(*(_NOTICED_S if loses_link else _UNNOTICED_S))
            made = HalfOpen if kind == "half_open" else Sigstop
            faults, recovery_s = (made(at_s=0, duration_s=length_s),), 4.0 if loses_link else 0.5
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
            faults = (made_of(at_s=0, duration_s=0.3 + 0.25 * chunks, chunks=chunks),)
    return _Draft(kind, faults, recovery_s, loses_link)

"""What a campaign of faults cost: chunks, words, word errors and time, as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rtstt_lab.analysis import continuity, wer
from rtstt_lab.analysis.continuity import Stretch
from rtstt_lab.lab.bench.trials import Outcome, Suffered
from rtstt_lab.types import Word

WITHIN_S: Final = 3.0
"""Of a fault, on the audio clock: words missing or repeated there are laid at its door."""
WER_GOAL: Final = 0.005
_SEED: Final = 0


@dataclass
class Harm:
    """What one fault did.

    Attributes:
        outcome: the session that it happened in.
        suffered: when, and how long it took to recover.
        missing: stretches that the clean sessions have.
        repeated: stretches that stand twice.
        chunks: that were never recognised.
    """

    outcome: Outcome
    suffered: Suffered
    missing: list[Stretch] = field(default_factory=list)
    repeated: list[Stretch] = field(default_factory=list)
    chunks: int = 0

    @property
    def kind(self) -> str:
        """Of the fault."""
        return self.suffered.attempt.kind

    @property
    def recovered(self) -> bool:
        """The server had everything in the end."""
        return not math.isnan(self.suffered.recovered_s)

    @property
    def failed(self) -> bool:
        """Something is missing or stands twice, or the session never recovered."""
        return bool(self.missing or self.repeated or self.chunks) or not self.recovered

    def distance_s(self, start_s: float, end_s: float) -> float:
        """How far from the fault a stretch of audio lies; 0 where they overlap."""
        return max(0.0, start_s - self.suffered.ended_s, self.suffered.began_s - end_s)


def assess(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All figures of a campaign, as JSON; ``docs/benchmarks.md`` says what each key means."""
    undisturbed = [outcome for outcome in outcomes if not outcome.trial.attempts]
    clean = [outcome for outcome in undisturbed if not outcome.error]
    faulted = [outcome for outcome in outcomes if outcome.trial.attempts]
    expected = {
        recording_id: continuity.agreed(sessions) for recording_id, sessions in _by_recording(clean).items()
    }
    harms: list[Harm] = []
    elsewhere: list[dict[str, Any]] = []
    for outcome in faulted:
        own = [Harm(outcome, suffered) for suffered in outcome.suffered if suffered.happened]
        elsewhere += _lay_words(own, outcome, expected.get(outcome.trial.recording.id, []))
        _lay_chunks(own, outcome)
        harms += own
    return {
        "faults": _kinds(harms, faulted),
        "faults_total": len(harms),
        "in_speech": _share(harm.suffered.in_speech for harm in harms),
        "lost_chunks": sum(_missing_chunks(outcome) for outcome in faulted),
        "lost_samples": sum(_missing_samples(outcome) for outcome in faulted),
        "unbalanced": sum(not outcome.balanced for outcome in outcomes),
        "lost_words": _words(stretch for harm in harms for stretch in harm.missing),
        "repeated_words": _words(stretch for harm in harms for stretch in harm.repeated),
        **_word_errors(faulted, clean),
        "recovery_s": _by_kind(harms, lambda harm: harm.suffered.recovered_s),
        "answer_s": _by_kind(harms, lambda harm: harm.suffered.answered_s),
        "failed": [_row(harm) for harm in harms if harm.failed],
        "broken": [_place(outcome) | {"error": outcome.error} for outcome in outcomes if outcome.error],
        "elsewhere": elsewhere,
        "clean": {"failed": len(undisturbed) - len(clean), **_control(clean)},
        "sessions": [_session(outcome) for outcome in outcomes],
    }


def goals(report: Mapping[str, Any]) -> dict[str, bool]:
    """Which goals of the campaign are met."""
    delta = report["wer_delta"]
    return {
        "lost_chunks": report["lost_chunks"] == report["lost_samples"] == report["unbalanced"] == 0,
        "words": report["lost_words"] == report["repeated_words"] == 0,
        "wer_delta": delta is not None and delta <= WER_GOAL,
        "recovered": not report["broken"]
        and all(figures["n"] == figures["recovered"] for figures in report["faults"].values()),
    }


def _lay_words(harms: Sequence[Harm], outcome: Outcome, expected: Sequence[Word]) -> list[dict[str, Any]]:
    """Lays each missing or repeated stretch at the nearest fault; gives back what is near none."""
    far: list[dict[str, Any]] = []
    found = [("missing", stretch) for stretch in continuity.missing(expected, outcome.words)]
    for stretch, repetition in continuity.added(expected, outcome.words):
        found.append(("repeated" if repetition else "added", stretch))
    for what, stretch in found:
        nearest = _nearest(harms, stretch.start_s, stretch.end_s)
        near = nearest is not None and nearest.distance_s(stretch.start_s, stretch.end_s) <= WITHIN_S
        if nearest is None or not near or what == "added":
            far.append(
                _place(outcome) | {"what": what, "at_s": round(stretch.start_s, 2), "words": str(stretch)}
            )
        elif what == "missing":
            nearest.missing.append(stretch)
        else:
            nearest.repeated.append(stretch)
    return far


def _lay_chunks(harms: Sequence[Harm], outcome: Outcome) -> None:
    for chunk in outcome.lost:
        if (nearest := _nearest(harms, chunk.start_s, chunk.end_s)) is not None:
            nearest.chunks += 1


def _nearest(harms: Sequence[Harm], start_s: float, end_s: float) -> Harm | None:
    return min(harms, key=lambda harm: harm.distance_s(start_s, end_s), default=None)


def _kinds(harms: Sequence[Harm], faulted: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    figures: dict[str, dict[str, int]] = {}
    for outcome in faulted:
        for suffered in outcome.suffered:
            own = figures.setdefault(
                suffered.attempt.kind, dict.fromkeys(("n", "in_speech", "recovered", "failed", "missed"), 0)
            )
            own["missed"] += not suffered.happened
    for harm in harms:
        own = figures[harm.kind]
        own["n"] += 1
        own["in_speech"] += harm.suffered.in_speech
        own["recovered"] += harm.recovered
        own["failed"] += harm.failed
    return dict(sorted(figures.items()))


def _word_errors(faulted: Sequence[Outcome], clean: Sequence[Outcome]) -> dict[str, Any]:
    """Pooled WER of the faulted sessions − that of the clean ones of the same recordings."""
    undisturbed: dict[str, list[wer.Errors]] = {}
    for outcome in clean:
        undisturbed.setdefault(outcome.trial.recording.id, []).append(_errors(outcome))
    paired = [each for each in faulted if each.trial.recording.id in undisturbed]
    ours = [_errors(outcome) for outcome in paired]
    theirs = [_together(undisturbed[outcome.trial.recording.id]) for outcome in paired]
    rng = np.random.default_rng(_SEED)
    delta = wer.paired_difference(ours, theirs, rng)
    return {
        "wer": _number(wer.error_rate(ours, "", rng).pooled.value),
        "wer_clean": _number(wer.error_rate(theirs, "", rng).pooled.value),
        "wer_delta": _number(delta.value),
        "wer_delta_interval": None if math.isnan(delta.low) else [_number(delta.low), _number(delta.high)],
    }


def _errors(outcome: Outcome) -> wer.Errors:
    recording = outcome.trial.recording
    return wer.word_errors(recording.reference, outcome.text, wer.normalizer(recording.language))


def _together(errors: Sequence[wer.Errors]) -> wer.Errors:
    names = ("reference", "hits", "substitutions", "deletions", "insertions")
    return wer.Errors(*(sum(getattr(each, name) for each in errors) for name in names))


def _control(clean: Sequence[Outcome]) -> dict[str, int]:
    """The same counts where nothing happened: each clean session against what the others agree on."""
    lost = repeated = 0
    for sessions in _by_recording(clean).values():
        for index, heard in enumerate(sessions):
            expected = continuity.agreed([each for number, each in enumerate(sessions) if number != index])
            lost += _words(continuity.missing(expected, heard))
            repeated += _words(stretch for stretch, again in continuity.added(expected, heard) if again)
    return {"sessions": len(clean), "lost_words": lost, "repeated_words": repeated}


def _by_recording(outcomes: Iterable[Outcome]) -> dict[str, list[Sequence[Word]]]:
    sessions: dict[str, list[Sequence[Word]]] = {}
    for outcome in outcomes:
        sessions.setdefault(outcome.trial.recording.id, []).append(outcome.words)
    return sessions


def _by_kind(harms: Sequence[Harm], figure: Callable[[Harm], float]) -> dict[str, dict[str, Any]]:
    values: dict[str, list[float]] = {}
    for harm in harms:
        values.setdefault(harm.kind, []).append(figure(harm))
    return {kind: _distribution(values[kind]) for kind in sorted(values)}


def _distribution(values: Sequence[float]) -> dict[str, Any]:
    known = [value for value in values if not math.isnan(value)]
    p50, p95 = np.quantile(known, [0.5, 0.95]) if known else (math.nan, math.nan)
    return {
        "n": len(known),
        "missing": len(values) - len(known),
        "p50": _number(p50),
        "p95": _number(p95),
        "max": _number(max(known, default=math.nan)),
    }


def _row(harm: Harm) -> dict[str, Any]:
    suffered = harm.suffered
    return _place(harm.outcome) | {
        "kind": harm.kind,
        "at_s": _number(suffered.began_s),
        "end_s": _number(suffered.ended_s),
        "in_speech": suffered.in_speech,
        "recovered_s": _number(suffered.recovered_s),
        "missing": [str(stretch) for stretch in harm.missing],
        "repeated": [str(stretch) for stretch in harm.repeated],
        "chunks": harm.chunks,
        "error": harm.outcome.error,
    }


def _session(outcome: Outcome) -> dict[str, Any]:
    ledger = outcome.ledger
    return _place(outcome) | {
        "faults": [each.attempt.kind for each in outcome.suffered],
        "schedule": outcome.trial.schedule.as_json(),
        "exact": outcome.exact,
        "balanced": outcome.balanced,
        "captured_samples": outcome.captured_samples,
        "recognised_samples": outcome.recognised_samples,
        "ledger": None if ledger is None else {n: getattr(ledger, n) for n in ledger.__dataclass_fields__},
        "text": outcome.text,
        "words": [[word.text, _number(word.start_s), _number(word.end_s)] for word in outcome.words],
        "error": outcome.error,
    }


def _place(outcome: Outcome) -> dict[str, Any]:
    return {"recording": outcome.trial.recording.id, "seed": outcome.trial.seed}


def _missing_chunks(outcome: Outcome) -> int:
    """Captured and not recognised; of a session that could not be made, nothing was captured."""
    ledger = outcome.ledger
    return ledger.captured - ledger.accepted if ledger else 0


def _missing_samples(outcome: Outcome) -> int:
    return abs(outcome.captured_samples - (outcome.recognised_samples or 0))


def _words(stretches: Iterable[Stretch]) -> int:
    return sum(len(stretch.words) for stretch in stretches)


def _share(flags: Iterable[bool]) -> float | None:
    known = list(flags)
    return round(sum(known) / len(known), 4) if known else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)

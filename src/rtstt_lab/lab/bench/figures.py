"""From what systems heard to figures: the definitions are those of `rtstt_lab.analysis`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from rtstt_lab.analysis import metrics, wer
from rtstt_lab.analysis.drift import latency_slope
from rtstt_lab.analysis.hallucination import repetition_loops
from rtstt_lab.analysis.statistics import Distribution, Estimate
from rtstt_lab.lab.bench.heard import Heard
from rtstt_lab.records import Tables, tables_of
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.types import Word, text_of

LONG_S: Final = 60.0
"""CPU is compared on recordings of this length and more: offline pads every short one to 30 s."""
_SEED: Final = 0


@dataclass(frozen=True)
class Clip:
    """One recording through one system.

    Attributes:
        recording: what was played.
        heard: what came of it; ``None``: the system failed.
        failure: why; empty if it did not.
    """

    recording: Recording
    heard: Heard | None
    failure: str = ""

    @cached_property
    def tables(self) -> Tables:
        """The five tables of `rtstt_lab.records`; without rows after a failure."""
        return tables_of(self.heard.events if self.heard else ())

    @cached_property
    def text(self) -> str:
        """All final words in one line; nothing after a failure, so that it counts as deletions."""
        finals = self.tables["partials"].query("kind == 'final'").sort_values("segment")
        sentences = (text_of(Word(**word) for word in words) for words in finals["words"])
        return " ".join(filter(None, sentences))

    @cached_property
    def errors(self) -> wer.Errors:
        """Word edits against the reference."""
        return wer.word_errors(self.recording.reference, self.text, wer.normalizer(self.recording.language))

    @property
    def cpu_s(self) -> float:
        """CPU seconds; NaN after a failure."""
        return self.heard.cpu_s if self.heard else math.nan

    @property
    def loops(self) -> int:
        """Repetitions that nobody said."""
        normalize = wer.normalizer(self.recording.language)
        said = repetition_loops(normalize(self.recording.reference).split())
        return max(0, repetition_loops(normalize(self.text).split()) - said)


References = Mapping[str, pd.DataFrame]
"""By recording id: ``word``, ``start_s``, ``end_s``."""


def speech_figures(clips: Sequence[Clip], references: References) -> dict[str, Any]:
    """All figures of recordings of speech, as JSON; what does not exist is ``None``."""
    rng = np.random.default_rng(_SEED)
    rate = wer.error_rate([clip.errors for clip in clips], "", rng)
    aligned = [clip for clip in clips if clip.recording.id in references]
    ends = _per_clip(aligned, lambda clip: _end_latency_s(clip, references))
    gaps = _per_clip(aligned, lambda clip: _worst_gap_s(clip, references))
    cpu = _per_clip(clips, lambda clip: clip.cpu_s / clip.recording.duration_s)
    final = _latencies(aligned, references, "emitted")
    slope = latency_slope(final, np.random.default_rng(_SEED))
    return {
        "wer": _number(rate.pooled.value),
        "wer_interval": _interval(rate.pooled),
        "wer_mean": _number(rate.mean),
        "deletions": _number(rate.deletions),
        "insertions": _number(rate.insertions),
        "reference_words": sum(clip.errors.reference for clip in clips),
        "utterances": len(clips),
        "audio_s": round(math.fsum(clip.recording.duration_s for clip in clips), 2),
        "failures": sum(clip.heard is None for clip in clips),
        "cpu_per_audio_s": _cpu(clips),
        "cpu_per_audio_s_long": _cpu(_long(clips)),
        "cpu_per_audio_s_by_clip": _spread(cpu),
        "final_latency_s": _latency(final),
        "final_latency_slope": _number(slope.value),
        "final_latency_slope_interval": _interval(slope),
        "first_shown_latency_s": _latency(_latencies(aligned, references, "shown")),
        "end_latency_s": _number(_quantile(ends, 0.95)),
        "end_latency_s_by_clip": _spread(ends),
        "worst_gap_s": _number(_quantile(gaps, 1.0)),
        "worst_gap_s_by_clip": _spread(gaps),
        "unstable_ratio": _number(_pooled_ratio(clips, metrics.unstable_ratio)),
        "normalized_erasure": _number(_pooled_ratio(clips, metrics.normalized_erasure)),
        "loops": sum(clip.loops for clip in clips),
        "statistics": _statistics(clips),
    }


def clip_figures(clip: Clip, references: References) -> dict[str, Any]:
    """What stands behind one recording's part in the figures, as JSON."""
    aligned = clip.recording.id in references
    latency = _latencies([clip], references, "emitted")["latency_s"] if aligned else pd.Series(dtype=float)
    return {
        "text": clip.text,
        "edits": clip.errors.edits,
        "words": clip.errors.reference,
        "cpu_s": _number(clip.cpu_s),
        "final_latency_mean_s": _number(latency.mean()),
        "end_latency_s": _number(_end_latency_s(clip, references)) if aligned else None,
        "worst_gap_s": _number(_worst_gap_s(clip, references)) if aligned else None,
    }


def nonspeech_figures(clips: Sequence[Clip]) -> dict[str, Any]:
    """What was invented where nothing is said, as JSON."""
    words = sum(len(clip.tables["words"]) for clip in clips)
    audio_s = math.fsum(clip.recording.duration_s for clip in clips)
    return {
        "hallucinated_words": words,
        "hallucinated_words_per_min": _number(words / audio_s * 60 if audio_s else math.nan),
        "loops": sum(clip.loops for clip in clips),
        "cpu_per_audio_s": _cpu(clips),
        "utterances": len(clips),
        "audio_s": round(audio_s, 2),
        "failures": sum(clip.heard is None for clip in clips),
    }


def digit_figures(clips: Sequence[Clip], references: References) -> dict[str, Any]:
    """As of speech, and the rate of wrong characters: a normaliser joins the digits to one long word."""
    rng = np.random.default_rng(_SEED)
    errors = [
        wer.character_errors(clip.recording.reference, clip.text, wer.normalizer(clip.recording.language))
        for clip in clips
    ]
    rate = wer.error_rate(errors, "", rng)
    return {"cer": _number(rate.pooled.value), **speech_figures(clips, references)}


def rss_mb(clips: Sequence[Clip]) -> float | None:
    """The most memory that was resident after any recording."""
    return _number(max((clip.heard.rss_mb for clip in clips if clip.heard), default=math.nan))


def compare(ours: Sequence[Clip], theirs: Sequence[Clip]) -> dict[str, Any]:
    """Our system against another on the same recordings in the same order, as JSON.

    ``wer_within_1_point`` holds when the difference is at most 0.01 and its interval does not lie above 0.
    """
    rng = np.random.default_rng(_SEED)
    difference = wer.paired_difference([c.errors for c in ours], [c.errors for c in theirs], rng)
    known = not math.isnan(difference.value)
    sure_worse = difference.low > 0
    return {
        "wer_difference": _number(difference.value),
        "wer_difference_interval": _interval(difference),
        "wer_within_1_point": (difference.value <= 0.01 and not sure_worse) if known else None,
        "cpu": _number(_ratio(_cpu(_long(ours)), _cpu(_long(theirs)))),
        "cpu_all": _number(_ratio(_cpu(ours), _cpu(theirs))),
    }


def _latencies(clips: Sequence[Clip], references: References, reading: metrics.Reading) -> pd.DataFrame:
    if not clips:
        return pd.DataFrame({"run": [], "end_s": [], "latency_s": []})
    words = [clip.tables["words"].assign(run=clip.recording.id) for clip in clips]
    chunks = [clip.tables["chunks"].assign(run=clip.recording.id) for clip in clips]
    targets = [references[clip.recording.id].assign(run=clip.recording.id) for clip in clips]
    return metrics.word_latencies(
        _joined(words), _joined(chunks), reading=reading, reference=pd.concat(targets, ignore_index=True)
    )


def _latency(latencies: pd.DataFrame) -> dict[str, Any]:
    rng = np.random.default_rng(_SEED)
    return _distribution(metrics.describe(latencies["latency_s"], list(latencies["run"]), rng=rng))


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def _end_latency_s(clip: Clip, references: References) -> float:
    speech_end_s = float(references[clip.recording.id]["end_s"].max())
    return metrics.end_latency_s(clip.tables["partials"], speech_end_s, clip.tables["chunks"])


def _worst_gap_s(clip: Clip, references: References) -> float:
    spans = metrics.speech_spans(references[clip.recording.id])
    return metrics.worst_gap_s(clip.tables["words"]["emitted_s"], spans)


def _long(clips: Sequence[Clip]) -> list[Clip]:
    return [clip for clip in clips if clip.recording.duration_s >= LONG_S]


def _cpu(clips: Sequence[Clip]) -> float | None:
    """CPU seconds per second of audio, pooled; failures, which cost nothing known, apart."""
    done = [clip for clip in clips if clip.heard]
    audio_s = math.fsum(clip.recording.duration_s for clip in done)
    return _number(metrics.cpu_per_audio_s(math.fsum(clip.cpu_s for clip in done), audio_s))


def _pooled_ratio(clips: Sequence[Clip], ratio: Callable[[pd.DataFrame], float]) -> float:
    views = [clip.tables["partials"].assign(run=clip.recording.id) for clip in clips]
    return ratio(_joined(views)) if views else math.nan


def _statistics(clips: Sequence[Clip]) -> dict[str, float]:
    """What the recognizer counted, over all clips."""
    totals: dict[str, float] = {}
    for clip in clips:
        for name, value in (clip.heard.statistics if clip.heard else {}).items():
            totals[name] = totals.get(name, 0) + value
    return {name: round(value, 3) for name, value in totals.items()}


def _per_clip(clips: Sequence[Clip], figure: Callable[[Clip], float]) -> list[float]:
    return [figure(clip) for clip in clips]


def _spread(values: Sequence[float]) -> dict[str, Any]:
    rng = np.random.default_rng(_SEED)
    return _distribution(metrics.describe(values, list(range(len(values))), rng=rng))


def _quantile(values: Sequence[float], share: float) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.quantile(known, share)) if known else math.nan


def _distribution(figure: Distribution) -> dict[str, Any]:
    names = ("mean", "p50", "p95", "p99")
    return {
        **{name: _number(getattr(figure, name).value) for name in names},
        "n": figure.n,
        "missing": figure.missing,
        "utterances": figure.utterances,
        "intervals": {name: _interval(getattr(figure, name)) for name in names},
    }


def _interval(estimate: Estimate) -> list[float] | None:
    ends = [_number(estimate.low), _number(estimate.high)]
    return None if None in ends else [end for end in ends if end is not None]


def _ratio(ours: float | None, theirs: float | None) -> float:
    return ours / theirs if ours is not None and theirs else math.nan


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 4)

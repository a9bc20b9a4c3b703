"""The one metrics module: every figure that anything here prints is computed by a function of this room.

Frames in (the tables of `rtstt_lab.records`, or any frame with the columns named), frames or dataclasses out.
Frames of several runs carry a column ``run``; a run is one utterance, and intervals are drawn over runs.
*Computation-aware* latencies are read off the client's clock, computing and waiting included;
*computation-unaware* ones off the audio clock: the newest audio that had been heard. Both are told apart in
every result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from difflib import SequenceMatcher
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from rtstt_lab.analysis.calibration import expected_calibration_error, reliability
from rtstt_lab.analysis.lagging import Lagging, lagging
from rtstt_lab.analysis.statistics import Distribution, Estimate, describe
from rtstt_lab.emissions import match_in_time
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.types import Word

__all__ = [
    "GOAL_S",
    "WARNING_S",
    "Distribution",
    "Estimate",
    "Lagging",
    "Ledger",
    "Signature",
    "capture_time",
    "confidence",
    "cpu_per_audio_s",
    "describe",
    "end_latency_s",
    "expected_calibration_error",
    "first_partial_s",
    "lagging",
    "normalized_erasure",
    "partial_latencies",
    "read_ledger",
    "reliability",
    "speech_spans",
    "taken_back",
    "total_ledger",
    "unstable_ratio",
    "word_latencies",
    "worst_gap_s",
]

GOAL_S: Final = 2.0
"""Latency under this is the goal (M1)."""
WARNING_S: Final = 3.0
"""Latency above this is warned of (M1, A1)."""

Reading: TypeAlias = Literal["shown", "changed", "emitted"]
AWARE: Final = "computation-aware"
UNAWARE: Final = "computation-unaware"
_SAME_S: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Signature:
    """Under which conditions a number was taken; printed beside it.

    Attributes:
        corpus: id and hash of the recordings.
        normalizer: name and version.
        model: name and hash of its weights.
        policy: the recognizer's commit policy and settings.
        chunk_ms: of audio a message.
        network: the fault schedule, ``clean`` without one.
        clock: ``virtual`` or ``real-time``.
        word_times: what latencies count from: ``recognizer`` or the reference's name.
        version: of this package.
        machine: CPU, cores, threads.
    """

    corpus: str
    normalizer: str
    model: str
    policy: str
    chunk_ms: int
    network: str
    clock: str
    word_times: str
    version: str
    machine: str

    def __str__(self) -> str:
        return " | ".join(f"{field.name}: {getattr(self, field.name)}" for field in fields(self))


# --- latency of words ---------------------------------------------------------------------------------------


def capture_time(chunks: pd.DataFrame | None, audio_s: ArrayLike) -> NDArray[np.float64]:
    """When samples were recorded: from the audio clock to the client's clock, pauses included.

    Args:
        chunks: ``audio_s``, ``captured_s``; None or empty: nothing was paused, the clocks are one.
        audio_s: ends of spans on the audio clock, shape ``(n,)``.

    Returns:
        Seconds on the client's clock, shape ``(n,)``.
    """
    times = np.asarray(audio_s, float)
    if chunks is None or chunks.empty:
        return times
    ordered = chunks.sort_values("audio_s")
    starts = ordered["audio_s"].to_numpy(float)
    at = np.clip(np.searchsorted(starts, times - _SAME_S, side="right") - 1, 0, None)
    return np.asarray(ordered["captured_s"].to_numpy(float)[at] + times - starts[at])


def word_latencies(
    words: pd.DataFrame,
    chunks: pd.DataFrame | None = None,
    *,
    reading: Reading = "emitted",
    aware: bool = True,
    reference: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Word emission latency: d_i − the true end of the word in the audio (metrics.md).

    Args:
        words: ``word``, ``start_s``, ``end_s``, ``emitted_s``; ``shown_s``, ``changed_s`` for those readings;
            ``shown_heard_s``, ``emitted_heard_s`` for computation-unaware figures.
        chunks: of the same runs, for recordings with pauses.
        reading: *shown* first (FD), last *changed* (SD), or *emitted*: committed, which is the final latency.
        aware: computation-aware or not; *changed* is known by the client's clock only.
        reference: ``word``, ``start_s``, ``end_s`` (and ``run``) by an aligner that all systems share.
            Latency then counts from its ends; its words without a match are rows without a latency. None: the
            recognizer's.

    Returns:
        ``run`` (where given), ``word``, ``end_s``, ``emission_s``, ``latency_s``; ordered by end.

    Raises:
        ValueError: *changed* was asked for on the audio clock.
    """
    if reading == "changed" and not aware:
        raise ValueError(reading)
    column = f"{reading}_s" if aware else f"{reading}_heard_s"
    parts = []
    for run, own in _by_run(words, reference):
        ends = own if reference is None else _on_reference(own, _of_run(reference, run))
        at = capture_time(_of_run(chunks, run), ends["end_s"]) if aware else ends["end_s"].to_numpy(float)
        emission = ends[column].to_numpy(float)
        part = pd.DataFrame(
            {"word": ends["word"], "end_s": ends["end_s"], "emission_s": emission, "latency_s": emission - at}
        )
        parts.append(part.assign(run=run) if run is not None else part)
    empty = _empty("word", "end_s", "emission_s", "latency_s")
    data = pd.concat(parts, ignore_index=True) if parts else empty
    return data.sort_values(["run", "end_s"] if "run" in data else ["end_s"], ignore_index=True)


def _on_reference(words: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """The reference's words with the emissions of the words that match them; others without."""
    words, reference = words.sort_values("start_s"), reference.sort_values("start_s")
    pairs = match_in_time(_words(reference), _words(words))
    joined = reference.reset_index(drop=True)
    emissions = words.filter(regex=r"^(shown|changed|emitted)_").reset_index(drop=True)
    rows = pd.Series(dict(pairs), dtype="int64").reindex(joined.index)
    return joined.join(emissions.reindex(rows).set_axis(joined.index))


def _words(data: pd.DataFrame) -> list[Word]:
    return [
        Word(str(text), float(start), float(end), math.nan)
        for text, start, end in zip(data["word"], data["start_s"], data["end_s"], strict=True)
    ]


def end_latency_s(views: pd.DataFrame, speech_end_s: float, chunks: pd.DataFrame | None = None) -> float:
    """Last final − true end of speech (not − the detector's decision); NaN without a final.

    Args:
        views: ``emitted_s`` of finals; ``kind`` tells them apart where partials are among them.
        speech_end_s: on the audio clock.
        chunks: see `capture_time`.
    """
    finals = views if "kind" not in views else views[views["kind"] == "final"]
    if finals.empty:
        return math.nan
    return float(finals["emitted_s"].max() - capture_time(chunks, [speech_end_s])[0])


def first_partial_s(views: pd.DataFrame, speech_start_s: float, chunks: pd.DataFrame | None = None) -> float:
    """First view with text − onset of speech; NaN where nothing was shown.

    Args:
        views: ``emitted_s``, ``text``.
        speech_start_s: on the audio clock.
        chunks: see `capture_time`.
    """
    shown = views[views["text"].str.strip() != ""]
    if shown.empty:
        return math.nan
    return float(shown["emitted_s"].min() - capture_time(chunks, [speech_start_s])[0])


def speech_spans(words: pd.DataFrame, *, join_s: float = 0.5) -> NDArray[np.float64]:
    """Where speech goes on: words closer than ``join_s`` are one span; shape ``(n, 2)``, audio clock."""
    spans: list[list[float]] = []
    for start, end in words.sort_values("start_s")[["start_s", "end_s"]].to_numpy(float):
        if spans and start - spans[-1][1] <= join_s:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([start, end])
    return np.array(spans).reshape(-1, 2)


def worst_gap_s(emitted_s: ArrayLike, spans_s: NDArray[np.float64]) -> float:
    """Longest time without a newly committed word while speech goes on; pauses in it are not counted.

    Args:
        emitted_s: commit times, on the client's clock.
        spans_s: speech on the same clock, shape ``(n, 2)``.
    """
    if not len(spans_s):
        return math.nan
    times = np.sort(np.asarray(emitted_s, float))
    edges = np.concatenate([[-np.inf], times[~np.isnan(times)], [np.inf]])
    low = np.maximum(edges[:-1, None], spans_s[None, :, 0])
    high = np.minimum(edges[1:, None], spans_s[None, :, 1])
    return float(np.clip(high - low, 0, None).sum(axis=1).max())


# --- latency of chunks (M1) ---------------------------------------------------------------------------------


def partial_latencies(chunks: pd.DataFrame, stop_s: float, words: pd.DataFrame | None = None) -> pd.DataFrame:
    """M1: for each chunk, from its sending to the first partial or final whose audio end reaches its end.

    Args:
        chunks: ``seq``, ``sent_s``, ``covered_s``, ``duration_s``; ``speech`` where a detector judged.
        stop_s: when the session stopped; a chunk that was never covered, or never sent, counts until then.
        words: where no detector judged, chunks that touch one of these words count as speech.

    Returns:
        ``run`` (where given), ``seq``, ``audio_s``, ``sent_s``, ``latency_s``, ``covered``, ``speech``.
    """
    data = chunks.copy()
    if "audio_s" not in data:
        data["audio_s"] = data["duration_s"].cumsum() - data["duration_s"]
    if "speech" not in data or data["speech"].isna().all():
        data["speech"] = True if words is None else _touches(data, words)
    due = data["sent_s"].fillna(data.get("captured_s", data["audio_s"]) + data["duration_s"])
    data["covered"] = data["covered_s"].notna()
    data["latency_s"] = data["covered_s"].fillna(max(stop_s, float(due.max()) if len(due) else stop_s)) - due
    columns = ["seq", "audio_s", "sent_s", "latency_s", "covered", "speech"]
    return data[["run", *columns] if "run" in data else columns].reset_index(drop=True)


def _touches(chunks: pd.DataFrame, words: pd.DataFrame) -> NDArray[np.bool_]:
    spans = words[["start_s", "end_s"]].to_numpy(float)
    starts = chunks["audio_s"].to_numpy(float)[:, None]
    ends = starts + chunks["duration_s"].to_numpy(float)[:, None]
    return np.asarray(((starts < spans[:, 1]) & (ends > spans[:, 0])).any(axis=1))


# --- steadiness ---------------------------------------------------------------------------------------------


def taken_back(views: pd.DataFrame) -> pd.DataFrame:
    """What each view took back of what had been shown, by the letter.

    A final closes the front of what is shown; the words behind it stay on the screen and open the next
    segment. Those that no view shows again count at the last view.

    Args:
        views: ``kind``, ``emitted_s``, ``words`` (each with ``text``), in order of arrival; ``run`` where
            given.

    Returns:
        ``emitted_s``, ``erased`` (words after the first difference, as when a display is written again from
        there) and ``changed`` (words without an equal counterpart in the new view).
    """
    rows: list[tuple[float, int, int]] = []
    for _, own in _by_run(views):
        shown: list[str] = []
        for kind, emitted_s, words in zip(own["kind"], own["emitted_s"], own["words"], strict=True):
            new = [str(word["text"]).strip() for word in words]
            left = _left_open(shown, new) if kind == "final" else []
            old = shown[: len(shown) - len(left)]
            same = _common_prefix(old, new)
            kept = SequenceMatcher(None, old[same:], new[same:], autojunk=False).get_matching_blocks()
            rows.append((emitted_s, len(old) - same, len(old) - same - sum(block.size for block in kept)))
            shown = left if kind == "final" else new
        if rows and shown:
            emitted_s, erased, changed = rows[-1]
            rows[-1] = (emitted_s, erased + len(shown), changed + len(shown))
    return pd.DataFrame(rows, columns=["emitted_s", "erased", "changed"])


def _left_open(shown: list[str], final: list[str]) -> list[str]:
    """The words shown that lie behind a final: after its last word where that stands among them."""
    blocks = SequenceMatcher(None, shown, final, autojunk=False).get_matching_blocks()[:-1]
    if blocks and blocks[-1].b + blocks[-1].size == len(final):
        return shown[blocks[-1].a + blocks[-1].size :]
    return shown[len(final) :]


def _common_prefix(old: Sequence[str], new: Sequence[str]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))


def normalized_erasure(views: pd.DataFrame) -> float:
    """Σ (words shown then taken back) / final words; NaN without final words (Arivazhagan et al. 2020)."""
    return _per_final_word(views, float(taken_back(views)["erased"].sum()))


def unstable_ratio(views: pd.DataFrame) -> float:
    """Words that changed after having been shown / final words; NaN without final words."""
    return _per_final_word(views, float(taken_back(views)["changed"].sum()))


def _per_final_word(views: pd.DataFrame, count: float) -> float:
    final_words = int(views.loc[views["kind"] == "final", "words"].map(len).sum())
    return count / final_words if final_words else math.nan


# --- delivery, confidence, cost -----------------------------------------------------------------------------


def read_ledger(counts: Mapping[str, int]) -> Ledger:
    """The chunk ledger from a mapping that holds at least its names; `Ledger.balanced` checks it."""
    return Ledger(**{field.name: int(counts[field.name]) for field in fields(Ledger)})


def total_ledger(ledgers: Iterable[Ledger]) -> Ledger:
    """The sum of ledgers, column by column."""
    columns = zip(*(astuple(ledger) for ledger in ledgers), strict=True)
    return Ledger(*map(sum, columns))


def confidence(words: pd.DataFrame) -> float:
    """Mean word probability; NaN without words."""
    return float(words["probability"].mean()) if len(words) else math.nan


def cpu_per_audio_s(process_cpu_s: float, audio_s: float) -> float:
    """CPU seconds of all threads per second of audio; NaN for no audio."""
    return process_cpu_s / audio_s if audio_s > 0 else math.nan


# --- frames of several runs ---------------------------------------------------------------------------------


def _by_run(data: pd.DataFrame, also: pd.DataFrame | None = None) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each run's rows; runs that only ``also`` knows come with none. A frame without ``run`` is one run."""
    if "run" not in data:
        yield None, data
        return
    names = list(dict.fromkeys(data["run"]))
    if also is not None and "run" in also:
        names += [name for name in dict.fromkeys(also["run"]) if name not in set(names)]
    for name in names:
        yield name, data[data["run"] == name]


def _of_run(data: pd.DataFrame | None, run: Any) -> Any:
    return data if data is None or run is None or "run" not in data else data[data["run"] == run]


def _empty(*columns: str) -> pd.DataFrame:
    return pd.DataFrame(
        {column: pd.Series(dtype="object" if column == "word" else float) for column in columns}
    )

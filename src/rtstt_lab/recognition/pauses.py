"""Where a recording pauses, and how words that time warping left without gaps are parted there.

Two kinds of evidence, of which either will do: silence, that is levels far under those of the words around,
and voice activity, which hears pauses that are full of noise or breath. Neither knows what is said, nor
anything of Whisper. Everything counts in frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final as Constant

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.recognition import endpointing
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, Word

FRAMES_A_SECOND: Constant = 100

_FRAME_SAMPLES: Constant = SAMPLE_RATE_HZ // FRAMES_A_SECOND
_PAUSE_S: Constant = 0.15
_LONG_PAUSE_S: Constant = 0.5
_NEAR_S: Constant = 0.4
_AUDIBLE_DB: Constant = 30.0
_FLOOR_DBFS: Constant = -60.0
_LOUD_DB: Constant = 10.0
_PEAK_SHARE: Constant = 0.95
"""Share of a recording's frames that are under its peak."""

_SPEECH: Constant = endpointing.EndpointingSettings().offset
_UNSPOKEN_S: Constant = 0.3
_ONSET_S: Constant = 0.1


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of each 10 ms of a recording, before anything is known of its words.

    Attributes:
        levels: RMS in dBFS, shape ``(n,)``.
        unspoken: whether voice activity hears no speech there, shape ``(n,)``.
    """

    levels: NDArray[np.float64]
    unspoken: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Samples, *, least_speech_s: float = 0.0) -> Activity:
        """Listens to a whole recording.

        Args:
            samples: shape ``(n,)``, float32, 16 kHz mono.
            least_speech_s: that is known to be in it. Where voice activity leaves less, as in whispered
                speech, it is not believed.
        """
        levels = frame_levels(samples)
        heard = unspoken_frames(levels, endpointing.speech_probabilities(samples))
        believed = np.count_nonzero(~heard) >= least_speech_s * FRAMES_A_SECOND
        return cls(levels, heard if believed else np.zeros_like(heard))


def frame_levels(samples: Samples) -> NDArray[np.float64]:
    """RMS level of each whole 10 ms in dBFS."""
    whole = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    return np.asarray(10 * np.log10(np.square(whole, dtype=np.float64).mean(axis=1) + 1e-12))


def unspoken_frames(levels: NDArray[np.float64], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where voice activity hears no speech for `_UNSPOKEN_S` or more.

    The network lets a word go after it has died away, but may take one up late: its onset is spared. And it
    misses words now and then; a sound between silences that is nearly as loud as the loudest speech is one.

    Args:
        levels: dBFS each 10 ms, shape ``(n,)``.
        probabilities: of speech, each `endpointing.FRAME_SAMPLES`, covering the same audio.

    Returns:
        Shape ``(n,)``.
    """
    found = np.zeros(len(levels), np.bool_)
    if not len(levels):
        return found
    centres = (np.arange(len(levels)) * _FRAME_SAMPLES + _FRAME_SAMPLES // 2) // endpointing.FRAME_SAMPLES
    peak = float(np.quantile(levels, _PEAK_SHARE))
    silent = _silent(levels, peak)
    for begin, end in _runs(probabilities[centres] < _SPEECH):
        if end - begin < _UNSPOKEN_S * FRAMES_A_SECOND:
            continue
        found[begin : end if end == len(levels) else end - round(_ONSET_S * FRAMES_A_SECOND)] = True
        if silent[begin:end].any():
            for first, last in _runs(~silent[begin:end]):
                sound = slice(begin + first, begin + last)
                if np.median(levels[sound]) > peak - _LOUD_DB:
                    found[sound] = False
    return found


def spoken_spans(activity: Activity, first: int, last: int) -> list[tuple[int, int]]:
    """Spans of samples that leave out the middle of long pauses, in which time warping loses words.

    Args:
        activity: of the recording.
        first: sample at which the part in question begins,
        last: and the one after its last. Spans are counted from ``first``.
    """
    part = slice(round(first / _FRAME_SAMPLES), round(last / _FRAME_SAMPLES))
    levels = activity.levels[part]
    if not len(levels):
        return [(0, last - first)]
    pausing = _silent(levels, float(np.quantile(levels, _PEAK_SHARE))) | activity.unspoken[part]
    margin = round(_PAUSE_S * FRAMES_A_SECOND)
    cuts = [(a + margin, b - margin) for a, b in _runs(pausing) if b - a >= _LONG_PAUSE_S * FRAMES_A_SECOND]
    edges = [0, *(edge * _FRAME_SAMPLES for cut in cuts for edge in cut), last - first]
    return list(zip(edges[::2], edges[1::2], strict=True))


def part_words(activity: Activity, words: Sequence[Word]) -> list[Word]:
    """Puts pauses between words: time warping leaves no gaps, and ends words before they have died away.

    Near a boundary, what is `_AUDIBLE_DB` under the peak of both words, or unspoken, for at least `_PAUSE_S`
    is a pause.
    """
    timed = list(words)
    for index in range(len(words) + 1):
        before = timed[index - 1] if index else None
        after = timed[index] if index < len(words) else None
        pause = _pause(activity, before, after)
        if pause is None:
            continue
        if before is not None:
            timed[index - 1] = replace(before, end_s=pause[0])
        if after is not None:
            timed[index] = replace(after, start_s=pause[1])
    return timed


def _pause(activity: Activity, before: Word | None, after: Word | None) -> tuple[float, float] | None:
    """Where a word ends and the next one begins, if a pause parts them; one of them may be missing.

    A short pause counts near the boundary only, since words hold closures; a long one lies within no word.
    What is before it belongs to the first word, whose end the alignment gives to the second one.
    """
    low = round(before.start_s * FRAMES_A_SECOND) if before else 0
    high = round(after.end_s * FRAMES_A_SECOND) if after else len(activity.levels)
    own = activity.levels[low:high]
    boundary_s = before.end_s if before else after.start_s if after else 0.0
    if not len(own):
        return None
    pausing = _silent(own, float(own.max())) | activity.unspoken[low:high]
    pauses = [
        (start_s, end_s)
        for start_s, end_s in (
            ((low + a) / FRAMES_A_SECOND, (low + b) / FRAMES_A_SECOND) for a, b in _runs(pausing)
        )
        if _parts(end_s - start_s, start_s - boundary_s, boundary_s - end_s)
        and (after is None or end_s < high / FRAMES_A_SECOND)
        and (before is None or start_s > low / FRAMES_A_SECOND)
    ]
    return (pauses[0][0], pauses[-1][1]) if pauses else None


def _parts(length_s: float, late_s: float, early_s: float) -> bool:
    """Whether a pause of this length parts words, so far behind or before their boundary."""
    return length_s >= _LONG_PAUSE_S or (length_s >= _PAUSE_S and max(late_s, early_s) <= _NEAR_S)


def _silent(levels: NDArray[np.float64], peak_dbfs: float) -> NDArray[np.bool_]:
    return levels <= max(peak_dbfs - _AUDIBLE_DB, _FLOOR_DBFS)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]

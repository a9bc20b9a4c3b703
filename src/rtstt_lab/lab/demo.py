"""The main job on a shipped clip: streamed in real time through server and WebSocket, and measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rtstt_lab.analysis import metrics
from rtstt_lab.analysis.metrics import GOAL_S, WARNING_S
from rtstt_lab.analysis.statistics import Distribution
from rtstt_lab.analysis.wer import Errors, normalizer, word_errors
from rtstt_lab.client.streaming import Observer
from rtstt_lab.errors import CorpusError
from rtstt_lab.lab.service import Service
from rtstt_lab.lab.transcription import Recorded, Transcriber, Transcription
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio

MADE: Final = "made"
"""The category of synthesised speech."""


@dataclass(frozen=True, slots=True)
class Punctuality:
    """One latency against the goal and the warning line.

    Attributes:
        latency_s: its distribution.
        under_goal: share of observations under `GOAL_S`; NaN for none.
        over_warning: share above `WARNING_S`; likewise.
    """

    latency_s: Distribution
    under_goal: float
    over_warning: float


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demonstration shows at its end.

    Attributes:
        recording: what was streamed.
        transcription: text, figures and conditions.
        partial: M1, of chunks of speech.
        final: of words.
        errors: words against the clip's text, as far as it was streamed.
    """

    recording: Recording
    transcription: Transcription
    partial: Punctuality
    final: Punctuality
    errors: Errors


def clip_for(language: str) -> Recording:
    """The recording to show: the longest human one whose package is installed; else a made one.

    Args:
        language: ISO 639-1 code.

    Raises:
        CorpusError: there is none in this language on this machine.
    """
    here = list(_installed(Corpus.shipped(language)))
    if not here:
        raise CorpusError("corpus_no_clip", language=language)
    return max(here, key=lambda recording: (recording.category != MADE, recording.duration_s))


class Demonstration:
    """Streams one clip; `stop` may be called meanwhile, from the same event loop.

    Args:
        service: the server.
        recording: of `clip_for`, or any other.
        observers: told every event of the session.
    """

    def __init__(self, service: Service, recording: Recording, *, observers: Sequence[Observer] = ()) -> None:
        self._recording = recording
        recorded = Recorded(
            samples=load_audio(recording),
            origin=f"{recording.id} {recording.audio_hash()[:12]}",
            language=recording.language,
        )
        self._transcriber = Transcriber(service, recorded, observers=observers)

    def stop(self) -> None:
        """Ends the recording; `run` returns with what was said until here."""
        self._transcriber.stop()

    async def run(self) -> DemoReport:
        """Streams to the end.

        Raises:
            RtsttError: no session could be made.
        """
        transcription = await self._transcriber.run()
        result, figures = transcription.result, transcription.figures
        words, chunks = result.tables["words"], result.tables["chunks"]
        final = metrics.word_latencies(words, chunks)["latency_s"]
        covered = metrics.partial_latencies(chunks, result.stopped_s, words)
        normalize = normalizer(self._recording.language)
        signature = replace(transcription.signature, normalizer=normalize.name)
        return DemoReport(
            recording=self._recording,
            transcription=replace(transcription, signature=signature),
            partial=_punctuality(figures.partial_latency_s, covered.loc[covered["speech"], "latency_s"]),
            final=_punctuality(figures.final_latency_s, final),
            errors=word_errors(self._recording.reference, result.text, normalize),
        )


def _punctuality(distribution: Distribution, values: Iterable[float]) -> Punctuality:
    seen = np.asarray([value for value in values if not np.isnan(value)], float)
    if not seen.size:
        return Punctuality(distribution, np.nan, np.nan)
    return Punctuality(distribution, float((seen < GOAL_S).mean()), float((seen > WARNING_S).mean()))


def _installed(corpus: Corpus) -> Iterable[Recording]:
    for recording in corpus:
        try:
            recording.path()
        except CorpusError:
            continue
        yield recording

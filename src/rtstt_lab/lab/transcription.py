"""One recording through a server, in real time or as fast as it goes, and every figure about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from rtstt_lab.analysis import metrics
from rtstt_lab.analysis.metrics import Distribution, Ledger, Signature
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import CHUNK_MS, as_taken, pcm_chunks, real_time
from rtstt_lab.client.streaming import AHEAD_S, Observer, StreamingClient
from rtstt_lab.lab.service import Service
from rtstt_lab.lab.signature import machine, package_version
from rtstt_lab.transcript import Transcript
from rtstt_lab.types import Samples

REAL_TIME: Final = "real-time"
FAST: Final = "fast"
_SEED: Final = 0
"""Of the bootstrap, so that the same record gives the same figures."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that is to be transcribed.

    Attributes:
        samples: shape (n,), float32, 16 kHz mono.
        origin: its id or file name, and a hash, for the signature.
        language: ISO 639-1 code; ``None`` is detection.
        prompt: words that are likely to occur.
    """

    samples: Samples
    origin: str
    language: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a session measured.

    Attributes:
        final_latency_s: of words: committed − spoken, read off the client's clock.
        partial_latency_s: of chunks of speech: sent → first view that covers it (M1).
        confidence: mean word probability; NaN for no words.
        cpu_per_audio_s: CPU seconds of the server's process tree per second of audio; NaN where not measured.
        chunks: the ledger.
    """

    final_latency_s: Distribution
    partial_latency_s: Distribution
    confidence: float
    cpu_per_audio_s: float
    chunks: Ledger


@dataclass(frozen=True, slots=True)
class Transcription:
    """A recording's text, figures and the conditions behind them; `started_at` is when streaming began."""

    recorded: Recorded
    started_at: datetime
    result: SessionResult
    figures: Figures
    signature: Signature

    def to_json(self) -> dict[str, Any]:
        """As ``rtstt transcribe --json`` prints it; times in seconds, figures that do not exist null."""
        result, figures = self.result, self.figures
        return {
            "text": result.text,
            "language": result.language,
            "duration_s": round(result.duration_s, 3),
            "complete": result.error is None,
            "file": result.summary.file if result.summary else None,
            "words": [_rounded(asdict(word) | {"word": word.word.strip()}) for word in result.words],
            "partials": [_rounded(asdict(partial)) for partial in result.partials],
            "metrics": {
                "final_latency_s": _spread(figures.final_latency_s),
                "partial_latency_s": _spread(figures.partial_latency_s),
                "cpu_per_audio_s": _number(figures.cpu_per_audio_s),
                "confidence": _number(figures.confidence),
                "chunks": asdict(figures.chunks),
            },
            "signature": asdict(self.signature),
        }

    def transcript(self) -> Transcript:
        """As it is rendered and saved."""
        result, mean_s = self.result, self.figures.partial_latency_s.mean.value
        return Transcript(
            session_id=result.session_id,
            started_at=self.started_at,
            finals=result.finals,
            duration_s=result.duration_s,
            mean_latency_s=None if math.isnan(mean_s) else mean_s,
            model=result.model,
            language=result.language,
            complete=result.error is None,
        )


class Transcriber:
    """Streams one recording; `stop` may be called meanwhile, from the same event loop.

    Args:
        service: the server.
        recorded: what is streamed.
        fast: as fast as the server takes it; latencies are not measured then, since nobody waits.
        chunk_ms: of audio in each chunk.
        observers: told every event of the session.
    """

    def __init__(
        self,
        service: Service,
        recorded: Recorded,
        *,
        fast: bool = False,
        chunk_ms: int = CHUNK_MS,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._service = service
        self._recorded = recorded
        self._fast = fast
        self._chunk_ms = chunk_ms
        self._client = StreamingClient(
            service.url,
            token=service.token,
            cafile=service.cafile,
            model=service.model,
            language=recorded.language,
            prompt=recorded.prompt,
            observers=observers,
        )

    def stop(self) -> None:
        """Ends the recording; `run` returns with what was said until here."""
        self._client.stop()

    async def run(self) -> Transcription:
        """Streams to the end.

        Raises:
            RtsttError: no session could be made; what fails later is in ``result.error``.
        """
        chunks = pcm_chunks(self._recorded.samples, chunk_ms=self._chunk_ms)
        source = as_taken(chunks) if self._fast else real_time(chunks)
        started_at, spent = datetime.now().astimezone(), self._service.process_cpu_s
        cpu_before_s = spent() if spent else math.nan
        result = await self._client.run(source, ahead_s=AHEAD_S if self._fast else math.inf)
        cpu_s = spent() - cpu_before_s if spent else _reported_cpu_s(result)
        figures = figures_of(result, cpu_s, fast=self._fast)
        return Transcription(self._recorded, started_at, result, figures, self._signature(result))

    def _signature(self, result: SessionResult) -> Signature:
        service = self._service
        named = [result.model or service.model or "", service.model_hash[:12]]
        return Signature(
            corpus=self._recorded.origin,
            normalizer="–",
            model=" ".join(filter(None, named)),
            policy=service.policy,
            chunk_ms=self._chunk_ms,
            network="clean",
            clock=FAST if self._fast else REAL_TIME,
            word_times="recognizer",
            version=package_version(),
            machine=machine(),
        )


def figures_of(result: SessionResult, process_cpu_s: float, *, fast: bool = False) -> Figures:
    """Computes what `Transcription` shows.

    Args:
        result: of a session.
        process_cpu_s: CPU seconds that the server spent on it; NaN where unknown.
        fast: it was not streamed at the pace of speech: there are no latencies.
    """
    words, chunks = result.tables["words"], result.tables["chunks"]
    final = metrics.word_latencies(words, chunks)["latency_s"].to_numpy(float)
    covered = metrics.partial_latencies(chunks, result.stopped_s, words)
    partial = covered.loc[covered["speech"], "latency_s"].to_numpy(float)
    rng = np.random.default_rng(_SEED)
    return Figures(
        final_latency_s=metrics.describe(final[:0] if fast else final, rng=rng),
        partial_latency_s=metrics.describe(partial[:0] if fast else partial, rng=rng),
        confidence=metrics.confidence(words),
        cpu_per_audio_s=metrics.cpu_per_audio_s(process_cpu_s, result.duration_s),
        chunks=result.ledger,
    )


def _reported_cpu_s(result: SessionResult) -> float:
    return result.summary.process_cpu_s if result.summary else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _spread(figure: Distribution) -> dict[str, float | None]:
    return {name: _number(getattr(figure, name).value) for name in ("mean", "p50", "p95")}


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in record.items()}

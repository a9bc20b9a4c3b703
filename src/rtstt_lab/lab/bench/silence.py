"""What a session costs while nobody speaks: no sound at all, and a quiet room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.lab.bench.meters import Meter
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.streaming import RecognizerSettings, StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ

CHUNK_MS: Final = 250
LEVELS_DBFS: Final = {"nothing": -np.inf, "room": -60.0}
"""Root mean square of what is heard: zeros, and white noise as of a quiet room."""

_SEED: Final = 0

Progress = Callable[[str, float], None]
"""Told (what is heard, seconds of it that were worked through)."""


def measure(model: LocalModel, duration_s: float, progress: Progress) -> dict[str, Any]:
    """Lets a recognizer listen to each kind of silence, as fast as it can.

    Args:
        model: resolved weights.
        duration_s: of each kind.
        progress: told about each kind.

    Returns:
        As JSON, by kind: ``cpu_per_audio_s``, ``decodes``, ``words``, ``rss_growth_mb``; and the signature.
    """
    decoder = WhisperDecoder.load(model)
    decoder.warm_up()
    return {
        "silence": {kind: _listen(decoder, kind, duration_s, progress) for kind in LEVELS_DBFS},
        "duration_s": duration_s,
        "signature": asdict(_signature(model, duration_s)),
    }


def _listen(decoder: WhisperDecoder, kind: str, duration_s: float, progress: Progress) -> dict[str, Any]:
    random = np.random.default_rng(_SEED)
    loudness = 10 ** (LEVELS_DBFS[kind] / 20)
    recognizer = StreamingRecognizer(decoder, language="en")
    meter = Meter(decoder.device)
    words, cpu_s, rss_mb = 0, 0.0, 0.0
    chunks = round(duration_s * 1000 / CHUNK_MS)
    for number in range(chunks):
        chunk = (loudness * random.standard_normal(SAMPLE_RATE_HZ * CHUNK_MS // 1000)).astype(np.float32)
        began_s = meter.cpu_s()
        recognizer.accept_audio(chunk)
        words += sum(len(result.words) for result in recognizer.step())
        cpu_s += meter.cpu_s() - began_s
        if number == chunks // 10:  # by then everything is as large as it gets
            rss_mb = meter.rss_mb()
    progress(kind, duration_s)
    return {
        "cpu_per_audio_s": cpu_s / duration_s,
        "decodes": recognizer.statistics().decodes,
        "words": words,
        "rss_growth_mb": meter.rss_mb() - rss_mb,
    }


def _signature(model: LocalModel, duration_s: float) -> Signature:
    levels = ", ".join(f"{kind} {level:g} dBFS" for kind, level in LEVELS_DBFS.items())
    return Signature(
        corpus=f"made: {duration_s:g} s each of {levels}, seed {_SEED}",
        normalizer="none",
        model=f"{model.name} {model.sha256[:12]}",
        policy=policy_of(RecognizerSettings()),
        chunk_ms=CHUNK_MS,
        network="none: recognizer alone",
        clock="virtual",
        word_times="none",
        version=package_version(),
        machine=machine(),
    )

"""Recordings as browsers make them, in memory: WebM, Ogg and fragmented MP4 around real Opus or AAC."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np

from rtstt_lab.types import Samples

RATE_HZ = 48_000
KINDS = {
    "audio/webm;codecs=opus": ("webm", "libopus", {"cluster_time_limit": "250", "live": "1"}),
    "audio/ogg;codecs=opus": ("ogg", "libopus", {"page_duration": "240000"}),
    "audio/mp4;codecs=opus": (
        "mp4",
        "libopus",
        {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "240000"},
    ),
    "audio/mp4;codecs=mp4a.40.2": (
        "mp4",
        "aac",
        {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "240000"},
    ),
}


def chirp(duration_s: float, seed: int = 0) -> Samples:
    """A rising tone in soft noise, shape ``(n,)`` at 48 kHz: every moment of it sounds different."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    tone = 0.4 * np.sin(2 * np.pi * (150 * time_s + 120 * time_s**2))
    return (tone + np.random.default_rng(seed).normal(0, 0.01, len(time_s))).astype(np.float32)


def record(mime: str, samples_48k: Samples, **muxing: str) -> bytes:
    """What a recorder of this type writes for the samples, header and all; ``muxing``: other options."""
    container, codec, options = KINDS[mime]
    options = options | muxing
    sink = io.BytesIO()
    with av.open(sink, "w", format=container, options=options) as target:
        stream = target.add_stream(codec, rate=RATE_HZ, layout="mono")
        stream.bit_rate = 32_000
        if codec == "libopus":
            stream.options = {"frame_duration": "60"}
        for start in range(0, len(samples_48k), 960):
            frame = av.AudioFrame.from_ndarray(
                samples_48k[None, start : start + 960], format="flt", layout="mono"
            )
            frame.rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return sink.getvalue()


def cut(data: bytes, marks: list[int]) -> list[bytes]:
    """The bytes, cut at the given offsets."""
    edges = [0, *sorted({mark for mark in marks if 0 < mark < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def at_16k(samples_48k: Samples) -> Samples:
    """Every third sample of the smoothed signal: near enough to compare positions by correlation."""
    return np.convolve(samples_48k, np.ones(3) / 3, "same")[::3].astype(np.float32)


def offset_of(heard: Samples, true: Samples, start: int, length: int = 4_000, reach: int = 1_600) -> int:
    """By how many samples what was heard lies later than in the truth (highest cross-correlation)."""
    piece = heard[start : start + length].astype(np.float64)
    field = true[max(0, start - reach) : start + length + reach].astype(np.float64)
    best = int(np.argmax(np.correlate(field, piece, "valid")))
    return min(start, reach) - best

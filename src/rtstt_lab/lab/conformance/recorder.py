"""Audio as browsers record it: Opus in WebM or Ogg, in chunks that end anywhere."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Final

import av
import numpy as np

from rtstt_lab.lab.conformance.audio import CHUNK_MS, duration_of_ms
from rtstt_lab.types import SAMPLE_RATE_HZ

WEBM: Final = "audio/webm;codecs=opus"
OGG: Final = "audio/ogg;codecs=opus"
_CONTAINERS: Final = {
    WEBM: ("webm", {"cluster_time_limit": "250", "live": "1"}),
    OGG: ("ogg", {"page_duration": "240000"}),
}
_BITS_PER_S: Final = 32_000
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50


def recorded(mime: str, pcm: bytes) -> list[bytes]:
    """One recorder's chunks, header and all.

    The bit rate is constant, so that chunks of equal bytes last equally long; clusters and pages begin
    anywhere in them, as they do in what a browser gives every 250 ms.

    Args:
        mime: `WEBM` or `OGG`.
        pcm: signed 16-bit at 16 kHz, mono, of whole chunks.

    Returns:
        A payload for every 250 ms.
    """
    container, options = _CONTAINERS[mime]
    samples = np.frombuffer(pcm, "<i2")[None]
    sink = io.BytesIO()
    with av.open(sink, "w", format=container, options=options) as target:
        stream = target.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = _BITS_PER_S
        stream.options = {"vbr": "off"}
        for start in range(0, samples.shape[1], _FRAME_SAMPLES):
            piece = np.ascontiguousarray(samples[:, start : start + _FRAME_SAMPLES])
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, start, Fraction(1, SAMPLE_RATE_HZ)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    data = sink.getvalue()
    size = -(-len(data) * CHUNK_MS // duration_of_ms(pcm))
    return [data[start : start + size] for start in range(0, len(data), size)]

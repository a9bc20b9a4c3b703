"""What is sent: frames right or wrong on purpose, silence, tones, and speech as 16-bit PCM."""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import PCM, SAMPLE_RATE_HZ

CHUNK_MS: Final = 250
_BYTES_PER_MS: Final = 2 * SAMPLE_RATE_HZ // 1000
_SENTENCE_MS: Final = 20_522
"""Of the shipped sample, 0.3 s before a sentence, within a pause of 2 s."""


def silence(duration_ms: int = CHUNK_MS) -> bytes:
    """Digital silence."""
    return bytes(duration_ms * _BYTES_PER_MS)


def tone(duration_ms: int = CHUNK_MS, frequency_hz: float = 440.0) -> bytes:
    """A quiet sine: audio, and nobody says anything."""
    times_s = np.arange(duration_ms * SAMPLE_RATE_HZ // 1000) / SAMPLE_RATE_HZ
    return (600 * np.sin(2 * np.pi * frequency_hz * times_s)).astype("<i2").tobytes()


def shipped_speech() -> bytes:
    """The English sample that every installation has: 41 s, the first word at 0.3 s."""
    samples = load_audio(Corpus.shipped("en")["en_laboratory"])
    return np.clip(np.round(samples * 32_768), -32_768, 32_767).astype("<i2").tobytes()


def another_sentence(speech: bytes, duration_ms: int) -> bytes:
    """Of the sample, what does not repeat its beginning; here, too, the first word comes after 0.3 s."""
    start = _SENTENCE_MS * _BYTES_PER_MS
    return speech[start : start + duration_ms * _BYTES_PER_MS]


def pieces(pcm: bytes, duration_ms: int = CHUNK_MS) -> Iterator[bytes]:
    """Cuts PCM into chunks; the last one is shorter."""
    size = duration_ms * _BYTES_PER_MS
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def duration_of_ms(pcm: bytes) -> int:
    """How long it lasts."""
    return len(pcm) // _BYTES_PER_MS


def header(seq: int, payload: bytes, **changes: Any) -> dict[str, Any]:
    """The right header of a PCM chunk of the first recorder, or one that is wrong on purpose."""
    right = {
        "type": "client:audio_chunk",
        "seq": seq,
        "stream": 0,
        "bytes": len(payload),
        "crc32": binascii.crc32(payload),
        "duration_ms": duration_of_ms(payload),
        "captured_ms": seq * CHUNK_MS,
        "sent_ms": seq * CHUNK_MS,
        "mime": PCM.mime,
    }
    return right | changes


def binary(fields: dict[str, Any], payload: bytes) -> bytes:
    """The binary frame."""
    head = json.dumps(fields).encode()
    return struct.pack("<I", len(head)) + head + payload

"""Where audio comes from: a recording or any iterator of PCM, in real time or as fast as it is taken.

A chunk is handed on when its audio *ends*, as a microphone would; the moments are absolute deadlines counted
from the first, so that a late wake-up delays one chunk and never those after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from rtstt_lab.audio.files import read_samples
from rtstt_lab.types import PCM, SAMPLE_RATE_HZ, Samples

CHUNK_MS: Final = 250
LARGEST_CHUNK_MS: Final = 500
"""Fewest messages a second that the protocol means (L3): for recordings that are not played."""
_BYTES_PER_MS: Final = SAMPLE_RATE_HZ // 1000 * 2


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of one recorder's output.

    Attributes:
        payload: as the recorder gave it.
        duration_ms: of its audio.
        mime: its type; needed on a stream's first chunk.
        stream: number of the recorder instance, from 0.
        began_s: when its audio began, on the client's clock; ``None``: its duration before it arrives.
    """

    payload: bytes
    duration_ms: int
    mime: str | None = None
    stream: int = 0
    began_s: float | None = None


def pcm_chunks(samples: Samples, *, chunk_ms: int = CHUNK_MS) -> Iterator[AudioChunk]:
    """Cuts samples into chunks of signed 16-bit PCM; the last one is shorter.

    Args:
        samples: shape (n,), float32, 16 kHz mono; beyond [-1, 1] they are clipped.
        chunk_ms: of audio in each.
    """
    pcm = np.clip(np.round(samples * 32_768), -32_768, 32_767).astype("<i2").tobytes()
    size = chunk_ms * _BYTES_PER_MS
    for start in range(0, len(pcm), size):
        yield _pcm_chunk(pcm[start : start + size], first=start == 0)


async def pcm_source(blocks: AsyncIterator[bytes], *, chunk_ms: int = CHUNK_MS) -> AsyncIterator[AudioChunk]:
    """Cuts a live stream of PCM (signed 16-bit little-endian, 16 kHz mono) into chunks as it comes.

    Args:
        blocks: bytes of any length; a sample may be cut in two between blocks.
        chunk_ms: of audio in each chunk; the last one is shorter.
    """
    size = chunk_ms * _BYTES_PER_MS
    held, first = bytearray(), True
    async for block in blocks:
        held += block
        while len(held) >= size:
            yield _pcm_chunk(bytes(held[:size]), first=first)
            del held[:size]
            first = False
    if len(held) > 1:
        yield _pcm_chunk(bytes(held[: len(held) // 2 * 2]), first=first)


async def real_time(
    chunks: Iterable[AudioChunk],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[AudioChunk]:
    """Hands each chunk on at the moment when its audio ends, counted from the first request.

    Args:
        chunks: of a recording.
        clock: monotonic seconds; the same as the streaming client's.
        sleep: waits for so many seconds.
    """
    start_s, audio_ms = clock(), 0
    for chunk in chunks:
        began_s = start_s + audio_ms / 1000
        audio_ms += chunk.duration_ms
        deadline_s = start_s + audio_ms / 1000
        while (early_s := deadline_s - clock()) > 0:
            await sleep(early_s)
        yield replace(chunk, began_s=began_s)


async def as_taken(
    chunks: Iterable[AudioChunk], *, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[AudioChunk]:
    """Hands chunks on as fast as they are asked for; ``began_s`` is as if they had been played at once.

    Args:
        chunks: of a recording.
        clock: monotonic seconds; the same as the streaming client's.
    """
    start_s, audio_ms = clock(), 0
    for chunk in chunks:
        yield replace(chunk, began_s=start_s + audio_ms / 1000)
        audio_ms += chunk.duration_ms


def file_source(path: Path, *, fast: bool = False, chunk_ms: int = CHUNK_MS) -> AsyncIterator[AudioChunk]:
    """A sound file as a source.

    Args:
        path: of any format that can be decoded.
        fast: as fast as it is taken, instead of in real time.
        chunk_ms: of audio in each chunk.

    Raises:
        AudioError: the file is missing, empty or no audio.
    """
    chunks = pcm_chunks(read_samples(path), chunk_ms=chunk_ms)
    return as_taken(chunks) if fast else real_time(chunks)


def _pcm_chunk(pcm: bytes, *, first: bool) -> AudioChunk:
    return AudioChunk(pcm, max(1, round(len(pcm) / _BYTES_PER_MS)), PCM.mime if first else None)

"""Sources: chunks that add up to the recording, handed on when their audio ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.client.sources import AudioChunk, as_taken, pcm_chunks, pcm_source, real_time
from rtstt_lab.types import PCM, SAMPLE_RATE_HZ


class FakeTime:
    """A clock that only sleeping (and whoever is late) moves."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now = 100.0
        self.late_s = late_s

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late_s


async def each(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 40_000), chunk_ms=st.sampled_from([20, 200, 250, 500]))
def test_chunks_hold_every_sample_once(n: int, chunk_ms: int) -> None:
    """The chunks, joined, are the samples; all but the last are full; only the first names its type."""
    samples = np.linspace(-1, 1, n, dtype=np.float32)
    chunks = list(pcm_chunks(samples, chunk_ms=chunk_ms))
    joined = np.frombuffer(b"".join(chunk.payload for chunk in chunks), "<i2")
    assert len(joined) == n
    assert np.abs(joined / 32_768 - samples).max() <= 1 / 32_768
    assert all(chunk.duration_ms == chunk_ms for chunk in chunks[:-1])
    assert abs(sum(chunk.duration_ms for chunk in chunks) - n / 16) <= 1
    assert [chunk.mime for chunk in chunks] == [PCM.mime] + [None] * (len(chunks) - 1)


def test_samples_beyond_full_scale_are_clipped() -> None:
    """An over-driven sample becomes the loudest one there is, not one of the other sign."""
    (chunk,) = pcm_chunks(np.array([1.5, -1.5], np.float32))
    assert np.frombuffer(chunk.payload, "<i2").tolist() == [32_767, -32_768]


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 3_000), max_size=40))
async def test_a_live_stream_is_cut_into_equal_chunks(sizes: list[int]) -> None:
    """However the bytes come, the chunks are full, and nothing but half a sample at the end is left out."""
    stream = bytes(i % 251 for i in range(sum(sizes)))
    blocks, at = [], 0
    for size in sizes:
        blocks.append(stream[at : at + size])
        at += size
    chunks = [chunk async for chunk in pcm_source(each(blocks), chunk_ms=100)]
    assert b"".join(chunk.payload for chunk in chunks) == stream[: len(stream) // 2 * 2]
    assert all(len(chunk.payload) == 3_200 for chunk in chunks[:-1])
    assert [chunk.mime for chunk in chunks[:1]] == [PCM.mime][: len(chunks)]


@pytest.mark.requirement("L3")
async def test_real_time_hands_a_chunk_on_when_its_audio_ends() -> None:
    """Chunk k comes at the start plus the audio up to its end, and says when its audio began."""
    time = FakeTime()
    chunks = [AudioChunk(b"", 250), AudioChunk(b"", 250), AudioChunk(b"", 100)]
    came = [(time.now - 100, c.began_s) async for c in real_time(chunks, clock=time.clock, sleep=time.sleep)]
    assert came == [pytest.approx(pair) for pair in [(0.25, 100.0), (0.5, 100.25), (0.6, 100.5)]]


async def test_late_wake_ups_do_not_add_up() -> None:
    """A sleeper that is always 40 ms late delays each chunk by 40 ms, also the hundredth."""
    time = FakeTime(late_s=0.04)
    source = real_time([AudioChunk(b"", 250)] * 100, clock=time.clock, sleep=time.sleep)
    times = [time.now async for _ in source]
    assert times[-1] == pytest.approx(100.0 + 25.0 + 0.04)


async def test_a_source_that_was_held_up_catches_up() -> None:
    """After a consumer's delay the chunks that are due come at once."""
    time = FakeTime()
    source = real_time([AudioChunk(b"", 250)] * 4, clock=time.clock, sleep=time.sleep)
    await anext(source)
    time.now += 0.6
    assert [time.now - 100.0 async for _ in source] == pytest.approx([0.85, 0.85, 1.0])


async def test_as_taken_waits_for_nobody() -> None:
    """Without pacing every chunk comes at once, with the times of a recording."""
    time = FakeTime()
    chunks = [
        chunk async for chunk in as_taken(pcm_chunks(np.zeros(SAMPLE_RATE_HZ, np.float32)), clock=time.clock)
    ]
    assert time.now == 100.0
    assert [chunk.began_s for chunk in chunks] == [100.0, 100.25, 100.5, 100.75]

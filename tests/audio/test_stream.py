"""Chunks into samples: whole, on time, whatever the chunks' edges and whatever was lost or damaged."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audio.media import KINDS, at_16k, chirp, cut, offset_of, record

from rtstt_lab.audio.stream import StreamDecoder
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.types import PCM, AudioFormat

SECONDS = 4.0
TRUE_48K = chirp(SECONDS)
TRUE = at_16k(TRUE_48K)
RECORDINGS = {mime: record(mime, TRUE_48K) for mime in KINDS}
# What an encoder adds at the end (and AAC at the beginning) and no container takes off again.
PADDING = 2_400


def decode(mime: str, chunks: list[bytes]) -> np.ndarray:
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        return np.concatenate([*(decoder.feed(chunk) for chunk in chunks), decoder.finish()])


@pytest.mark.requirement("D1")
@pytest.mark.parametrize("mime", KINDS)
@settings(deadline=None, max_examples=12, derandomize=True)
@given(marks=st.lists(st.integers(1, 20_000), max_size=24))
def test_chunk_edges_do_not_matter(mime: str, marks: list[int]) -> None:
    """However a recording is cut, the same samples come out, all of them and in place."""
    heard = decode(mime, cut(RECORDINGS[mime], marks))
    whole = decode(mime, [RECORDINGS[mime]])
    assert np.array_equal(heard, whole)
    assert len(TRUE) - 16 <= len(heard) <= len(TRUE) + PADDING
    for start in (8_000, 30_000, 55_000):
        assert abs(offset_of(heard, TRUE, start)) <= (1_100 if "mp4a" in mime else 8)


@pytest.mark.parametrize("mime", KINDS)
def test_single_bytes(mime: str) -> None:
    """A recording that comes byte by byte is decoded like one that comes whole."""
    data = RECORDINGS[mime][:6_000]
    assert np.array_equal(decode(mime, [data[i : i + 1] for i in range(len(data))]), decode(mime, [data]))


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.integers(-32768, 32767), min_size=1, max_size=200),
    marks=st.lists(st.integers(1, 399), max_size=8),
)
def test_pcm_is_exact(values: list[int], marks: list[int]) -> None:
    """Raw PCM gives back its samples exactly, also when a chunk ends inside a sample."""
    data = np.array(values, "<i2").tobytes()
    with StreamDecoder(PCM) as decoder:
        parts = [decoder.feed(chunk) for chunk in cut(data, marks)]
        assert decoder.samples == len(values)
        assert decoder.consumed_bytes == len(data)
    assert np.array_equal(np.concatenate(parts) * 32768, values)


def test_pcm_hole_is_its_silence() -> None:
    """A PCM hole is as long as its duration, at once."""
    with StreamDecoder(PCM) as decoder:
        decoder.feed(b"\1\0" * 100)
        assert not decoder.hole(0.25).any()
        assert decoder.samples == 100 + 4_000


@pytest.mark.parametrize("mime", KINDS)
def test_audio_comes_out_as_it_goes_in(mime: str) -> None:
    """What is still inside is little, and the mark of what has come out is true."""
    data = RECORDINGS[mime]
    chunks = cut(data, list(range(600, len(data), 600)))
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        fed, marks = 0, []
        for chunk in chunks:
            decoder.feed(chunk)
            fed += len(chunk)
            marks.append((decoder.consumed_bytes, decoder.samples))
            assert decoder.consumed_bytes <= fed
            assert fed / len(data) * SECONDS - decoder.samples / 16_000 < 0.6
        decoder.finish()
        assert decoder.consumed_bytes == fed
    for consumed, samples in marks[::5]:
        # The bytes before the mark, decoded alone, give no more than had come out by then; AAC holds one
        # frame back.
        if consumed:
            assert len(decode(mime, [data[:consumed]])) <= samples + 16 + (342 if "mp4a" in mime else 0)


@pytest.mark.requirement("E2")
@pytest.mark.parametrize("mime", [m for m in KINDS if "webm" in m or "ogg" in m])
@pytest.mark.parametrize("seed", range(6))
def test_a_lost_chunk_costs_only_itself(mime: str, seed: int) -> None:
    """A chunk lost on the way becomes silence of the right length: what follows stays where it was said."""
    data = RECORDINGS[mime]
    chunks = cut(data, list(range(900, len(data), 900)))
    lost = int(np.random.default_rng(seed).integers(2, len(chunks) - 6))
    chunk_s = SECONDS / len(chunks)
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        parts = []
        for number, chunk in enumerate(chunks):
            if number == lost:
                parts.append(decoder.hole(chunk_s))
            else:
                parts.append(decoder.feed(chunk, captured_end_s=(number + 1) * chunk_s))
        heard = np.concatenate([*parts, decoder.finish()])
    assert abs(len(heard) - len(TRUE)) <= PADDING
    assert abs(offset_of(heard, TRUE, len(TRUE) - 6_000)) <= 40
    assert np.count_nonzero(heard == 0) <= (chunk_s + 0.62) * 16_000


@pytest.mark.requirement("E2")
@pytest.mark.parametrize("mime", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_damage_does_not_silence_the_rest(mime: str, seed: int) -> None:
    """After a damaged chunk the stream is decoded on, by a fresh reader if need be, and times stay true."""
    data = RECORDINGS[mime]
    chunks = cut(data, list(range(900, len(data), 900)))
    noise = np.random.default_rng(seed)
    broken = int(noise.integers(2, len(chunks) - 8))
    chunks[broken] = noise.bytes(len(chunks[broken]))
    chunk_s = SECONDS / len(chunks)
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        parts = []
        for number, chunk in enumerate(chunks):
            for attempt in range(2):
                try:
                    parts.append(decoder.feed(chunk, captured_end_s=(number + 1) * chunk_s))
                    break
                except AudioDecodeError:
                    if attempt:
                        parts.append(decoder.hole(chunk_s))
        heard = np.concatenate([*parts, decoder.finish()])
    assert abs(offset_of(heard, TRUE, len(TRUE) - 5_000)) <= (1_100 if "mp4a" in mime else 60)


@pytest.mark.parametrize("mime", KINDS)
def test_a_stream_is_taken_up_in_its_middle(mime: str) -> None:
    """With the header and a later chunk that says so, a decoder goes on there, at the right time."""
    chunks = cut(RECORDINGS[mime], list(range(900, len(RECORDINGS[mime]), 900)))
    chunk_s = SECONDS / len(chunks)
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        places = []
        for chunk in chunks:
            decoder.feed(chunk)
            places.append(decoder.restartable)
    assert places[0]
    assert sum(places) >= len(chunks) // 2
    taken_up = next(number for number in range(len(chunks) // 2, len(chunks)) if places[number])
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        parts = [decoder.feed(chunks[0] + chunks[1], captured_end_s=2 * chunk_s)]
        decoder.close()
        parts += [
            decoder.feed(chunks[number], captured_end_s=(number + 1) * chunk_s)
            for number in range(taken_up, len(chunks))
        ]
        heard = np.concatenate([*parts, decoder.finish()])
    assert abs(offset_of(heard, TRUE, len(TRUE) - 5_000)) <= (1_100 if "mp4a" in mime else 60)


def test_a_second_header_in_the_stream_goes_on() -> None:
    """A recorder that starts its container anew in the middle goes on where it was."""
    mime = "audio/webm;codecs=opus"
    first, second = record(mime, TRUE_48K[:96_000]), record(mime, TRUE_48K[96_000:])
    chunks = cut(first, list(range(900, len(first), 900))) + cut(second, list(range(900, len(second), 900)))
    heard = decode(mime, chunks)
    assert abs(len(heard) - len(TRUE)) <= PADDING


@pytest.mark.requirement("E2")
def test_no_audio_at_all_is_an_error_each_time() -> None:
    """Bytes that are no recording raise, also on the retry, and a true recording after them is decoded."""
    mime = "audio/webm;codecs=opus"
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        for _ in range(2):
            with pytest.raises(AudioDecodeError):
                decoder.feed(b"this is no recording at all" * 40)
        decoder.hole(0.25)
        heard = np.concatenate([decoder.feed(RECORDINGS[mime]), decoder.finish()])
    assert len(heard) >= len(TRUE) - 16


@pytest.mark.parametrize(
    ("clock_rate", "most_s"), [pytest.param(1, 2, id="true"), pytest.param(10**6, 600, id="false")]
)
def test_a_hole_claimed_by_the_container_is_bounded(clock_rate: int, most_s: int) -> None:
    """Times that jump days ahead make no days of silence, whatever the recorder's clock says."""
    mime = "audio/webm;codecs=opus"
    data = RECORDINGS[mime]
    stamp = data.find(b"\xe7", data.find(bytes.fromhex("1F43B675"), len(data) // 2)) + 1
    after = stamp + 1 + (data[stamp] & 0x0F)
    leap_ms = 10 * 24 * 3_600_000
    leaping = data[:stamp] + b"\x84" + leap_ms.to_bytes(4, "big") + data[after:]
    chunks = cut(leaping, list(range(900, len(leaping), 900)))
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        chunk_s = SECONDS / len(chunks)
        for number, chunk in enumerate(chunks):
            decoder.feed(chunk, captured_end_s=number * chunk_s * clock_rate)
        decoder.finish()
        assert len(TRUE) < decoder.samples <= len(TRUE) + most_s * 16_000


def test_close_ends_the_thread() -> None:
    """Every way out of a decoder ends its thread."""
    before = threading.active_count()
    for mime in KINDS:
        decoder = StreamDecoder(AudioFormat.from_mime(mime))
        decoder.feed(RECORDINGS[mime][:2_000])
        decoder.close()
        decoder.close()
    assert threading.active_count() == before

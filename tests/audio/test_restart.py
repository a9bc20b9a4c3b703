"""A decoder that takes a recording up at a random chunk gives the samples of an uncut one, in time."""

from __future__ import annotations

import numpy as np
import pytest
from tests.audio.media import KINDS, chirp, cut, offset_of, record

from rtstt_lab.audio.stream import StreamDecoder
from rtstt_lab.types import PCM, SAMPLE_RATE_HZ, AudioFormat, Samples

SECONDS = 30
MIMES = [PCM.mime, *KINDS]
LATEST_S = 0.1
"""The bound of the specification; what is reached is far below it (`AIM_S`)."""
AIM_S = 0.01


def chunks_of(mime: str, seed: int) -> list[bytes]:
    """A recording in chunks of about 250 ms, as a recorder's timer cuts it: anywhere in its bytes."""
    audio = chirp(SECONDS)
    pcm = np.round(audio[::3] * 32767).astype("<i2").tobytes()
    data = pcm if mime == PCM.mime else record(mime, audio)
    rng = np.random.default_rng(seed)
    size = len(data) / (4 * SECONDS)
    first = 1_500 if mime != PCM.mime else round(size)
    marks = first + np.cumsum(rng.uniform(0.4 * size, 1.6 * size, 8 * SECONDS)).astype(int)
    return cut(data, [first, *marks.tolist()])


def uncut(mime: str, chunks: list[bytes]) -> tuple[Samples, list[tuple[int, float, float | None]]]:
    """All samples, and each place to take up: the first chunk needed, where it lies, the clocks' shift."""
    places, pieces = [], []
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        for seq, chunk in enumerate(chunks):
            before_s = decoder.samples / SAMPLE_RATE_HZ
            pieces.append(decoder.feed(chunk))
            if decoder.restartable and mime == PCM.mime:
                places.append((seq + 1, decoder.samples / SAMPLE_RATE_HZ, None))
            elif decoder.restartable and seq and decoder.clock_s is not None:
                shift_s = decoder.samples / SAMPLE_RATE_HZ - decoder.clock_s
                places.append((seq, before_s, shift_s))
        pieces.append(decoder.finish())
    return np.concatenate(pieces), places


@pytest.mark.requirement("E4", "R1")
@pytest.mark.parametrize("mime", MIMES)
def test_samples_lie_where_they_lay(mime: str) -> None:
    """Taken up at fifty random chunks, no sample lies elsewhere than without a cut, and none comes twice."""
    chunks = chunks_of(mime, seed=11)
    whole, places = uncut(mime, chunks)
    rng = np.random.default_rng(5)
    places = [place for place in places if place[1] < SECONDS - 4]
    assert len(places) >= 20
    worst = 0
    for index in rng.integers(0, len(places), 52):
        seq, at_s, shift_s = places[index]
        header = b"" if shift_s is None else chunks[0]
        begin_s = at_s - (shift_s or 0.0)
        with StreamDecoder(AudioFormat.from_mime(mime), first_payload=header, begin_s=begin_s) as decoder:
            heard = [decoder.feed(chunk) for chunk in chunks[seq : seq + 16]]
        start = round(at_s * SAMPLE_RATE_HZ)
        line = np.concatenate([np.zeros(start, np.float32), *heard])
        for later_s in (0.8, 1.6, 2.4):
            at = start + round(later_s * SAMPLE_RATE_HZ)
            worst = max(worst, abs(offset_of(line, whole, at)))
        assert abs(len(line) - start - 4 * SAMPLE_RATE_HZ) < 4 * SAMPLE_RATE_HZ
    assert worst / SAMPLE_RATE_HZ <= min(AIM_S, LATEST_S), f"{1000 * worst / SAMPLE_RATE_HZ:.2f} ms"

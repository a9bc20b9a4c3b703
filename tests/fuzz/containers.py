"""Decodes mutated recordings in a process of its own: ``python -m tests.fuzz.containers MIME FIRST COUNT``.

What libav would do to the process that decodes is seen from outside. Writes one line of JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from pathlib import Path

import psutil
from tests.audio.media import KINDS, chirp, cut, record

from rtstt_lab.audio.allocation import bound_allocations
from rtstt_lab.audio.stream import StreamDecoder
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.server.heap import one_arena, trim
from rtstt_lab.types import AudioFormat

from .mutations import mutated, rng_of

SECONDS = 0.5
PCM = "audio/pcm;rate=16000"
MIMES = (*KINDS, PCM)


def recording(mime: str) -> bytes:
    """A short one, as a recorder of this type makes it."""
    return bytes(range(256)) * 40 if mime == PCM else record(mime, chirp(SECONDS))


def decode(mime: str, chunks: list[bytes]) -> tuple[int, int]:
    """Feeds a stream, each damaged chunk twice as the engine does.

    Returns:
        How many samples came out, and how many chunks were refused.
    """
    refused = 0
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        for number, chunk in enumerate(chunks, 1):
            for _ in range(2):
                try:
                    decoder.feed(chunk, captured_end_s=number * SECONDS)
                    break
                except AudioDecodeError:
                    refused += 1
            else:
                decoder.hole(SECONDS)
        decoder.finish()
        return decoder.samples, refused


def resident_mb() -> float:
    """What the process holds, once the C library has given back what it keeps for later."""
    gc.collect()
    trim()
    return psutil.Process().memory_info().rss / 2**20


def peak_mb() -> float:
    """The most that this process ever held; `resource` would tell its parent's if that is more."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run(mime: str, first: int, count: int) -> dict[str, float]:
    """Decodes so many mutations, and the unchanged recording after them."""
    corpus = [recording(mime), *(recording(other) for other in MIMES)]
    good = corpus[0]
    whole = decode(mime, [good])
    most_samples, refused, longest_s = 0, 0, 0.0
    before = resident_mb()
    for number in range(first, first + count):
        rng = rng_of(number)
        data = mutated(corpus if rng.random() < 0.3 else corpus[:1], rng)
        begun_s = time.process_time()
        chunks = cut(data, [rng.randint(0, len(data)) for _ in range(rng.randint(0, 3))])
        samples, errors = decode(mime, chunks)
        longest_s = max(longest_s, time.process_time() - begun_s)
        most_samples = max(most_samples, samples // len(chunks))
        refused += bool(errors)
    return {
        "whole": decode(mime, [good]) == whole and whole[0] > 0,
        "refused": refused,
        "most_samples": most_samples,
        "longest_s": longest_s,
        "peak_mb": peak_mb() - before,
        "grown_mb": resident_mb() - before,
        "threads": threading.active_count(),
    }


if __name__ == "__main__":
    one_arena()  # as `rtstt serve` does
    bound_allocations()
    mime, first, count = sys.argv[1:]
    print(json.dumps(run(mime, int(first), int(count))))  # noqa: T201

"""Real speech, a real model, and servers that are killed while somebody speaks."""

from __future__ import annotations

import csv
import time
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.audio.media import cut, record
from tests.engine.world import World

from rtstt_lab.emissions import word_key
from rtstt_lab.engine import SessionWorker
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.protocol.lifecycle import Shown
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import PCM, SAMPLE_RATE_HZ, Samples, Word

NEAR_S = 3.0
APART_S = 0.1


def speech(root: Path, name: str, seconds: float) -> Samples:
    """A reading up to the end of the last sentence that ends before."""
    with (root / f"data/samples/{name}.csv").open() as source:
        ends = [float(row["end_s"]) for row in csv.DictReader(source)]
    seconds = max(end for end in ends if end < seconds) + 0.3
    samples, rate_hz = soundfile.read(root / f"data/samples/{name}.flac", dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return samples[: round(seconds * rate_hz)]


def chunks_of(samples: Samples, mime: str) -> list[bytes]:
    """A quarter of a second each, roughly."""
    count = round(4 * len(samples) / SAMPLE_RATE_HZ)
    if mime == PCM.mime:
        data = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        return cut(data, [8_000 * index for index in range(1, count)])
    data = record(mime, np.repeat(samples, 3))
    return cut(data, [1_000 + (len(data) - 1_000) * index // count for index in range(count)])


def transcribe(
    decoder: WhisperDecoder, samples: Samples, mime: str, kills: tuple[int, ...], language: str | None = None
) -> list[Word]:
    """What is saved of the recording when its server is killed behind these chunks."""

    def taken_up(state: SessionState) -> SessionWorker:
        recognizer = StreamingRecognizer(decoder, language=state.language, start=state.recognizer)
        return SessionWorker(recognizer, cpu_clock=time.process_time, start=state.worker)

    fresh = SessionWorker(StreamingRecognizer(decoder, language=language), cpu_clock=time.process_time)
    world = World(fresh, new_worker=taken_up)
    world.start()
    for seq, chunk in enumerate(chunks_of(samples, mime)):
        world.send(chunk, 250, mime)
        if seq in kills:
            world.kill()
    world.control("stop")
    world.pass_time(5)
    world.worker.close()
    assert world.client.shown is Shown.COMPLETED
    assert world.client.ledger.lost == 0
    assert world.client.ledger.balanced()
    (transcript,) = world.saved
    assert transcript.complete
    assert transcript.duration_s == pytest.approx(len(samples) / SAMPLE_RATE_HZ, abs=0.1)
    return [word for final in transcript.finals for word in final.words]


def assert_reads_as_uncut(uncut: list[Word], words: list[Word], kills_s: list[float]) -> None:
    """No run of words is lost or comes twice where a server died, and words elsewhere lie where they lay.

    Where a word ends before a pause, or begins behind one, depends on the window that it was heard in: so one
    edge in ten may be elsewhere. A clock that goes on wrongly would move them all.
    """
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    matcher = SequenceMatcher(None, *([word_key(w.text) for w in side] for side in (uncut, words)), False)
    moved_s = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            assert abs((b - a) - (d - c)) <= 1, (uncut[a:b], words[c:d])
            continue
        for before, after in zip(uncut[a:b], words[c:d], strict=True):
            if all(abs(before.start_s - at_s) > NEAR_S for at_s in kills_s):
                moved_s += [abs(after.start_s - before.start_s), abs(after.end_s - before.end_s)]
    assert matcher.ratio() >= 0.9
    assert moved_s
    assert np.quantile(moved_s, 0.9) <= APART_S
    assert np.median(moved_s) <= APART_S / 5


@pytest.mark.requirement("E4", "L4", "R1")
def test_speech_goes_on_where_servers_died(root: Path, tiny: WhisperDecoder) -> None:
    """A passage in WebM, its server killed twice in mid-sentence, reads as without."""
    samples, mime, kills = speech(root, "en_laboratory", 11.0), "audio/webm;codecs=opus", (5, 13)
    uncut = transcribe(tiny, samples, mime, ())
    words = transcribe(tiny, samples, mime, kills)
    assert_reads_as_uncut(uncut, words, [(kill + 1) / 4 for kill in kills])


@pytest.mark.long
@pytest.mark.requirement("E4", "L4", "R1")
@pytest.mark.parametrize("mime", [PCM.mime, "audio/webm;codecs=opus", "audio/ogg;codecs=opus"])
@pytest.mark.parametrize("name", ["en_laboratory", "es_laboratory"])
def test_readings_go_on_where_servers_died(root: Path, name: str, mime: str) -> None:
    """Both readings with the default model, their servers killed at four random chunks."""
    decoder = WhisperDecoder.load(ModelStore().resolve("base"))
    samples = speech(root, name, 32.0)
    last = 4 * len(samples) // SAMPLE_RATE_HZ - 4
    kills = sorted(np.random.default_rng(len(name + mime)).integers(4, last, 4).tolist())
    uncut = transcribe(decoder, samples, mime, (), name[:2])
    words = transcribe(decoder, samples, mime, tuple(kills), name[:2])
    assert_reads_as_uncut(uncut, words, [(kill + 1) / 4 for kill in kills])

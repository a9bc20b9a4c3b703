"""The real worker: decoder, recognizer and engine together, on made speech with a real model."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.audio.media import KINDS, cut, record
from tests.engine.world import World

from rtstt_lab.engine import SessionWorker
from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.journal import MarkRecord
from rtstt_lab.errors import AudioDecodeError, RecognitionError, SequenceError
from rtstt_lab.protocol.lifecycle import Shown
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import PCM, AudioFormat, Final, Samples

SECONDS = 10.6
SAID = (
    "welcome to the laboratory for real-time speech recognition while a person speaks the microphone picks "
    "up the voice in small pieces and sends them to the server"
)


@pytest.fixture(scope="module")
def speech(root: Path) -> Samples:
    samples, rate_hz = soundfile.read(root / "data/samples/en_laboratory.flac", dtype="float32")
    assert rate_hz == 16_000
    return samples[: round(SECONDS * rate_hz)]


def worker_of(decoder: WhisperDecoder) -> SessionWorker:
    return SessionWorker(StreamingRecognizer(decoder), cpu_clock=time.process_time)


def plain(text: str) -> list[str]:
    return [word.strip(".,").lower() for word in text.split()]


def pcm(samples: Samples) -> bytes:
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


@pytest.mark.requirement("L3", "L5", "D1", "D2")
@pytest.mark.parametrize("mime", [PCM.mime, "audio/webm;codecs=opus"])
def test_speech_becomes_its_transcript(tiny: WhisperDecoder, speech: Samples, mime: str, root: Path) -> None:
    """A spoken passage, sent in chunks, is saved whole, its words where they were said."""
    if mime == PCM.mime:
        data = pcm(speech)
        chunks = cut(data, list(range(8_000, len(data), 8_000)))
    else:
        data = record(mime, np.repeat(speech, 3))
        chunks = cut(data, list(range(1_000, len(data), 1_000)))
    worker = worker_of(tiny)
    world = World(worker)
    world.start()
    for chunk in chunks:
        world.send(chunk, round(1000 * SECONDS / len(chunks)), mime)
    lag = len(chunks) - world.session.committed_seq
    world.control("stop")
    worker.close()
    (transcript,) = world.saved
    assert world.client.shown is Shown.COMPLETED
    assert transcript.complete
    assert transcript.duration_s == pytest.approx(SECONDS, abs=0.08)
    heard = plain(transcript.text)
    assert len(set(SAID.split()) - set(heard)) <= 2
    assert abs(len(heard) - len(SAID.split())) <= 2
    with (root / "data/samples/en_laboratory.csv").open() as source:
        sentences = list(csv.DictReader(source))[:2]
    times = {word.text.strip(" .,").lower(): word for word in transcript.words}
    assert times["welcome"].start_s == pytest.approx(float(sentences[0]["start_s"]), abs=0.3)
    assert times["recognition"].end_s == pytest.approx(float(sentences[0]["end_s"]), abs=0.3)
    assert times["server"].end_s == pytest.approx(float(sentences[1]["end_s"]), abs=0.3)
    # Before stop, all but the last words were committed; afterwards everything is.
    assert lag <= len(chunks) / 2
    assert world.session.committed_seq == len(chunks)
    marks = [record.committed_seq for record in world.journal if isinstance(record, MarkRecord)]
    assert len(marks) >= 4


def test_silence_is_committed_as_it_comes(tiny: WhisperDecoder) -> None:
    """Ten seconds without speech give no words, no decodes, and free the client's buffer all the same."""
    world = World(worker_of(tiny))
    world.start()
    for _ in range(40):
        world.send(bytes(8_000), 250)
    assert world.session.committed_seq >= 36
    assert world.session.resume_seq >= world.session.committed_seq - 13
    assert world.of(fx.Recognise) == []
    world.control("stop")
    assert world.saved[0].finals == ()


@pytest.mark.requirement("E2")
def test_what_one_step_said_survives_the_next_ones_failure(
    tiny: WhisperDecoder, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When settling fails at its second utterance, the first one's words come with the next answer."""
    worker = worker_of(tiny)
    two = np.concatenate([speech[:64_000], np.zeros(16_000, np.float32), speech[68_000:100_000]])
    worker.feed(fx.FeedAudio(0, 0, pcm(two), PCM, 7_000, 0))
    decode, calls = tiny.decode_window, []

    def failing(*args: object, **keywords: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise RecognitionError("recognition_failed", start_s=0.0, reason="scripted")
        return decode(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(tiny, "decode_window", failing)
    with pytest.raises(RecognitionError):
        worker.recognise(fx.Recognise(1, "settle"))
    report = worker.recognise(fx.Recognise(2, "skip"))
    (final,) = report.results
    assert isinstance(final, Final)
    assert plain(final.text)[0] == "welcome"
    assert final.words[-1].end_s < 4.5
    assert report.hearing.settled_s == pytest.approx(7.0, abs=0.5)


def test_marks_and_restarts_of_a_container(tiny: WhisperDecoder, speech: Samples) -> None:
    """A container's chunks complete late, and a fresh decoder may start where the report says."""
    mime = "audio/webm;codecs=opus"
    assert mime in KINDS
    data = record(mime, np.repeat(np.zeros(48_000, np.float32), 3))
    worker, reports = worker_of(tiny), []
    for seq, chunk in enumerate(cut(data, list(range(600, len(data), 120)))):
        reports.append(worker.feed(fx.FeedAudio(seq, 0, chunk, AudioFormat.from_mime(mime), 250, 250 * seq)))
    assert all(report.complete_seq <= seq + 1 for seq, report in enumerate(reports))
    assert reports[-1].complete_seq >= len(reports) - 3
    assert [report.restart for report in reports if report.restart and report.restart.shift_s is not None]
    end = worker.recognise(fx.Recognise(1, "finish"))
    assert end.samples == pytest.approx(48_000, abs=100)
    worker.close()


def test_a_recorder_that_is_over_is_refused(tiny: WhisperDecoder) -> None:
    """A new recorder ends the one before it; its late chunks are refused, and so is what is no audio."""
    worker = worker_of(tiny)
    worker.feed(fx.FeedAudio(0, 0, bytes(320), PCM, 10, 0))
    worker.feed(fx.FeedAudio(1, 1, bytes(320), PCM, 10, 10))
    with pytest.raises(SequenceError):
        worker.feed(fx.FeedAudio(2, 0, bytes(320), PCM, 10, 20))
    with pytest.raises(AudioDecodeError):
        worker.feed(fx.FeedAudio(2, 2, b"no audio", AudioFormat.from_mime("audio/webm"), 10, 20))
    report = worker.hole(fx.FeedHole(2, 500))
    worker.close()
    assert report.samples >= 320

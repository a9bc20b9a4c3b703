"""Decoders that fall silent, hang, or never saw a header: noticed, tried once more, then told, times true."""

from __future__ import annotations

import threading

import av
import numpy as np
import pytest
from tests.audio.media import at_16k, chirp, cut, offset_of, record

from rtstt_lab.audio.reader import ContainerReader
from rtstt_lab.audio.stream import StreamDecoder
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.types import AudioFormat

WEBM = "audio/webm;codecs=opus"
SECONDS = 6.0
SPEECH = chirp(SECONDS)
TRUE = at_16k(SPEECH)
DATA = record(WEBM, SPEECH)
CLUSTER = bytes.fromhex("1F43B675")
VOID = b"\xec\x08\x00\x00\x00\x10\x00\x00\x00"
"""An element that claims 256 MB and is passed over: whatever follows belongs to it."""
CHUNK_S = 0.25


def clusters() -> list[bytes]:
    """The recording, cut where each cluster begins; the first piece is the header."""
    edges, at = [], DATA.find(CLUSTER)
    while at >= 0:
        edges.append(at)
        at = DATA.find(CLUSTER, at + 4)
    return cut(DATA, edges)


@pytest.mark.requirement("E2")
def test_a_decoder_that_swallows_everything_is_opened_again() -> None:
    """Bytes come in and nothing out, without an error: from the next cluster on all is in its place."""
    header, *pieces = clusters()
    middle = len(pieces) // 2
    chunks = [header + pieces[0], *pieces[1:middle], VOID + pieces[middle], *pieces[middle + 1 :]]
    step_s = SECONDS / len(chunks)
    with StreamDecoder(AudioFormat.from_mime(WEBM)) as decoder:
        parts = [decoder.feed(chunk, captured_end_s=(n + 1) * step_s) for n, chunk in enumerate(chunks)]
        heard = np.concatenate([*parts, decoder.finish()])
        assert decoder.lost_s < 0.3
    assert abs(offset_of(heard, TRUE, len(TRUE) - 6_000)) <= 40


@pytest.mark.requirement("E2", "L4")
@pytest.mark.parametrize("taken_up", [False, True], ids=["begun", "taken up"])
def test_a_recorder_that_begins_late_and_writes_seldom_is_no_silent_one(taken_up: bool) -> None:
    """Pages of a second, a minute into a session: how long no audio comes counts from the first chunk."""
    data = record("audio/ogg;codecs=opus", SPEECH, page_duration="1000000")
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    header, audio = data[: pages[2]], data[pages[4] if taken_up else pages[2] :]
    begin_s = 2.0 if taken_up else 0.0
    size = round(len(audio) * CHUNK_S / (SECONDS - begin_s))
    chunks = cut(audio, list(range(0, len(audio), size)))
    first_payload = header if taken_up else b""
    with StreamDecoder(
        AudioFormat.from_mime("audio/ogg;codecs=opus"), first_payload=first_payload, begin_s=begin_s
    ) as decoder:
        chunks[0] = chunks[0] if taken_up else header + chunks[0]
        parts = [decoder.feed(c, captured_end_s=60 + (n + 1) * CHUNK_S) for n, c in enumerate(chunks)]
        heard = np.concatenate([*parts, decoder.finish()])
        assert decoder.lost_s == 0
    assert len(heard) / 16_000 == pytest.approx(SECONDS - begin_s, abs=0.1)


@pytest.mark.requirement("E2")
def test_a_decoder_that_stays_silent_is_given_up_and_its_time_kept() -> None:
    """After 8 s of bytes without audio: an error, then holes; no second of the time is lost."""
    header, *pieces = clusters()
    half = len(pieces) // 2
    step_s = SECONDS / len(pieces)
    swallowed, captured_s, errors = 60, 0.0, []
    with StreamDecoder(AudioFormat.from_mime(WEBM)) as decoder:
        parts = []

        def feed(chunk: bytes, duration_s: float) -> None:
            nonlocal captured_s
            captured_s += duration_s
            for attempt in range(2):
                try:
                    parts.append(decoder.feed(chunk, captured_end_s=captured_s))
                    return
                except AudioDecodeError as error:
                    errors.append((captured_s, error.key))
                    if attempt:
                        parts.append(decoder.hole(duration_s))

        for n, piece in enumerate(pieces[:half]):
            feed(header + piece if n == 0 else piece, step_s)
        began_s = captured_s
        for n in range(swallowed):
            feed(VOID * (n == 0) + bytes(400), CHUNK_S)
        lost_s = decoder.lost_s
        heard = np.concatenate([*parts, decoder.finish()])
    first_s, key = errors[0]
    assert key == "audio_payload"
    assert 8.0 < first_s - began_s < 9.0
    assert len(errors) == 2 * (swallowed - round((first_s - began_s) / CHUNK_S) + 1)
    assert lost_s == pytest.approx(first_s - began_s - CHUNK_S, abs=0.3)
    assert len(heard) / 16_000 == pytest.approx(captured_s, abs=0.3)


@pytest.mark.requirement("E2", "E4")
@pytest.mark.parametrize("mime", [WEBM, "audio/ogg;codecs=opus"])
def test_without_its_beginning_a_recording_is_said_to_be_headless(mime: str) -> None:
    """Whatever of it comes, the error says what is missing and what to do; a new beginning is decoded."""
    data = record(mime, SPEECH)
    chunks = cut(data, list(range(900, len(data), 900)))
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        decoder.hole(CHUNK_S)
        for chunk in chunks[1:6]:
            for _ in range(2):
                with pytest.raises(AudioDecodeError) as error:
                    decoder.feed(chunk)
                assert error.value.key in {"audio_headless", "audio_payload"}
            decoder.hole(CHUNK_S)
        heard = np.concatenate([decoder.feed(data), decoder.finish()])
    assert len(heard) >= len(TRUE)


@pytest.mark.requirement("E2", "R1")
def test_a_decoder_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call into libav that never returns ends its reader in bounded time, and a fresh one takes over."""
    release, opened = threading.Event(), av.open
    readers: list[ContainerReader] = []

    def hanging(*arguments: object, **options: object) -> object:
        if not readers or threading.current_thread() is readers[0]._thread:  # however late it gets here
            release.wait(60)
        return opened(*arguments, **options)  # type: ignore[call-overload]

    def reader(kind: str) -> ContainerReader:
        readers.append(ContainerReader(kind, patience_s=60.0 if readers else 0.1))
        return readers[-1]

    monkeypatch.setattr(av, "open", hanging)
    monkeypatch.setattr("rtstt_lab.audio.stream.ContainerReader", reader)
    with StreamDecoder(AudioFormat.from_mime(WEBM)) as decoder:
        with pytest.raises(AudioDecodeError, match="not come back"):
            decoder.feed(DATA)
        heard = np.concatenate([decoder.feed(DATA), decoder.finish()])
    assert len(heard) >= len(TRUE) - 16
    release.set()

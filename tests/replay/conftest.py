"""A warm model and a short human reading."""

from __future__ import annotations

import pytest

from rtstt_lab.client.sources import AudioChunk, pcm_chunks
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.replay.server import MakeRecognizer


@pytest.fixture(scope="session")
def recognizer(tiny: WhisperDecoder) -> MakeRecognizer:
    """Makes a fresh recognizer on one loaded tiny.en, which reads the clock that it is given."""
    return lambda clock, start: StreamingRecognizer(tiny, language="en", start=start, clock=clock)


@pytest.fixture(scope="session")
def chunks() -> list[AudioChunk]:
    """Ten seconds of one reader, in chunks of 250 ms."""
    return list(pcm_chunks(load_audio(Corpus.shipped("en")["en_beckett"])))

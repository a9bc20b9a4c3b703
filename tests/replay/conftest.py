"""A warm model and a short human reading."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rtstt_lab.client.sources import AudioChunk, pcm_chunks
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.replay.corpus import Corpus, load_audio


@pytest.fixture(scope="session")
def recognizer() -> Callable[[], StreamingRecognizer]:
    """Makes a fresh recognizer on one loaded tiny.en."""
    decoder = WhisperDecoder.load(ModelStore().resolve("tiny.en"))
    return lambda: StreamingRecognizer(decoder, language="en")


@pytest.fixture(scope="session")
def chunks() -> list[AudioChunk]:
    """Ten seconds of one reader, in chunks of 250 ms."""
    return list(pcm_chunks(load_audio(Corpus.shipped("en")["en_beckett"])))

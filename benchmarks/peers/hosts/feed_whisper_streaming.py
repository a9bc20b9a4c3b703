"""Hosts whisper-streaming's processor: MODEL SETTINGS."""

from __future__ import annotations

import json
import logging
import sys
import threading
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from lines import Lines
from whisper_streaming import ASRProcessor, AudioReceiver, Backend, OutputSender, TimeTrimming
from whisper_streaming.backend import (
    FasterWhisperFeatureExtractorConfig,
    FasterWhisperModelConfig,
    FasterWhisperTranscribeConfig,
)

_RATE_HZ = 16_000
_SLACK_S = 0.5


class Fed(AudioReceiver):  # type: ignore[misc]
    """Hands on what a session sends, in pieces of the configured length."""

    def __init__(self, piece_s: float) -> None:
        super().__init__()
        self._size = int(piece_s * _RATE_HZ)
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._held = np.zeros(0, np.float32)

    def feed(self, pcm: bytes | None) -> None:
        """``None`` ends the audio."""
        self._chunks.put(pcm)

    def _do_receive(self) -> Any:
        while len(self._held) < self._size:
            pcm = self._chunks.get()
            if pcm is None:
                self.stopped.set()
                break
            self._held = np.append(self._held, np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0)
        piece, self._held = self._held[: self._size], self._held[self._size :]
        return piece if len(piece) else None

    def _do_close(self) -> None:
        pass


class Out(OutputSender):  # type: ignore[misc]
    """Says at once what is put into it: the base class throws away what comes within 0.1 s of the end."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self.queue = self

    def put_nowait(self, word: Any) -> None:
        """Of the queue that the processor writes to."""
        self._lines.say(final=word.word)

    def get_nowait(self) -> Any:
        """Of the queue that the base class reads: never anything."""
        raise Empty

    def _do_output(self, data: Any) -> None:
        pass

    def _do_close(self) -> None:
        pass


def main() -> None:
    """Serves sessions until stdin ends."""
    lines = Lines()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    settings = json.loads(sys.argv[2])
    for language in lines.sessions():
        receiver = Fed(settings["chunk_s"])
        processor = ASRProcessor(
            ASRProcessor.ProcessorConfig(
                sampling_rate=_RATE_HZ,
                prompt_size=200,
                audio_receiver_timeout=settings["chunk_s"] + _SLACK_S,
                audio_trimming=TimeTrimming(settings["buffer_s"]),
                language=language,
            ),
            receiver,
            Out(lines),
            Backend.FASTER_WHISPER,
            FasterWhisperModelConfig(sys.argv[1], device="cpu", compute_type="int8"),
            FasterWhisperTranscribeConfig(beam_size=settings["beam_size"]),
            FasterWhisperFeatureExtractorConfig(),
        )
        worker = threading.Thread(target=processor.run)
        worker.start()
        lines.say(ready=True)
        for chunk in lines.audio():
            receiver.feed(chunk)
        receiver.feed(None)
        worker.join()
        lines.say(done=True)


if __name__ == "__main__":
    main()

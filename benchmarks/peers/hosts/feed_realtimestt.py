"""Hosts RealtimeSTT's recorder: MODEL SETTINGS."""

from __future__ import annotations

import json
import sys
import threading
import time

from lines import Lines

_SILENCE_CHUNK_S = 0.25
_IDLE_S = 1.5
_RATE_HZ = 16_000


class Utterances:
    """Numbers those that began, tells what is heard of them, and knows when none is open."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._lock = threading.Lock()
        self._began = self._told = 0
        self._idle_since_s = time.monotonic()

    def began(self) -> None:
        """An utterance began."""
        with self._lock:
            self._began += 1

    def shown(self, text: str) -> None:
        """The newest one is heard like this so far."""
        self._lines.say(shown=text, utterance=self._began)

    def told(self, text: str) -> None:
        """The oldest open one was decoded whole."""
        with self._lock:
            self._told += 1
            self._idle_since_s = time.monotonic()
        self._lines.say(final=text, utterance=self._told)

    def idle_for_s(self) -> float:
        """How long none has been open."""
        with self._lock:
            return 0.0 if self._told < self._began else time.monotonic() - self._idle_since_s


def main() -> None:
    """Serves sessions until stdin ends."""
    lines = Lines()
    from RealtimeSTT import AudioToTextRecorder  # noqa: PLC0415 - after stdout was moved

    utterances = Utterances(lines)
    recorder = AudioToTextRecorder(
        model=sys.argv[1],
        realtime_model_type=sys.argv[1],
        device="cpu",
        compute_type="int8",
        use_microphone=False,
        spinner=False,
        no_log_file=True,
        enable_realtime_transcription=True,
        on_realtime_transcription_update=utterances.shown,
        on_recording_start=utterances.began,
        **json.loads(sys.argv[2]),
    )

    def decode() -> None:
        while True:
            utterances.told(recorder.text())

    threading.Thread(target=decode, daemon=True).start()
    silence = bytes(int(2 * _RATE_HZ * _SILENCE_CHUNK_S))
    for language in lines.sessions():
        recorder.language = language or ""
        lines.say(ready=True)
        for chunk in lines.audio():
            recorder.feed_audio(chunk, _RATE_HZ)
        ended_s = time.monotonic()
        while min(utterances.idle_for_s(), time.monotonic() - ended_s) < _IDLE_S:
            recorder.feed_audio(silence, _RATE_HZ)
            time.sleep(_SILENCE_CHUNK_S)
        lines.say(done=True)
    recorder.shutdown()


if __name__ == "__main__":
    main()

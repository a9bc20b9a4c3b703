"""Plain faster-whisper over the whole recording: what streaming is compared with."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.bench.heard import Heard, chunk_events, view_event
from rtstt_lab.lab.bench.meters import Meter
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

BEAM_SIZE: Final = 5


class OfflineSystem:
    """It begins when the recording is over, and says everything when it is done.

    Args:
        model: resolved weights.
        slowdown: multiplies the measured computing time.
    """

    def __init__(self, model: LocalModel, *, slowdown: float = 1.0) -> None:
        self._decoder = WhisperDecoder.load(model)
        self._decoder.warm_up()
        self._meter = Meter(self._decoder.device)
        self._slowdown = slowdown

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """See `System.hear`."""
        duration_s = len(samples) / SAMPLE_RATE_HZ
        cpu_before_s, before_s = self._meter.cpu_s(), self._meter.busy_s()
        finals = self._decoder.transcribe_offline(samples, language=language, beam_size=BEAM_SIZE)
        done_s = duration_s + (self._meter.busy_s() - before_s) * self._slowdown
        events = chunk_events(0, 0.0, duration_s) + [view_event(final, done_s) for final in finals]
        return Heard(events, self._meter.cpu_s() - cpu_before_s, self._meter.rss_mb())

"""The recognizer alone, fed at the pace of speech on a virtual clock.

Audio arrives when it has been spoken; what the recognizer computes is measured, and the clock is moved on by
it. So latencies are computation-aware, and a run takes as long as the computing alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from rtstt_lab.lab.bench.heard import Heard, chunk_events, view_event
from rtstt_lab.lab.bench.meters import Meter
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.recognition.promises import Decoded
from rtstt_lab.recognition.streaming import RecognizerSettings, Result, StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


class Recognizes(Protocol):
    """What is needed of a `StreamingRecognizer`."""

    @property
    def wants_step(self) -> bool:
        """Whether `step` has something to do."""
        ...

    def accept_audio(self, samples: Samples) -> None:
        """Takes audio in."""
        ...

    def step(self) -> list[Result]:
        """Decodes once."""
        ...

    def settle(self) -> list[Result]:
        """Makes everything final."""
        ...


class RecognizerSystem:
    """Whisper in short windows, without a server around it.

    Args:
        model: resolved weights.
        settings: of the recognizer.
        chunk_ms: of audio that arrive at once.
        slowdown: multiplies the measured decode time.
    """

    def __init__(
        self, model: LocalModel, settings: RecognizerSettings, *, chunk_ms: int, slowdown: float = 1.0
    ) -> None:
        self._decoder = WhisperDecoder.load(model)
        self._decoder.warm_up()
        self._meter = Meter(self._decoder.device)
        self._settings = settings
        self._chunk_ms = chunk_ms
        self._slowdown = slowdown

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """See `System.hear`."""
        clock = VirtualClock(self._meter.busy_s)
        decoded: list[Decoded] = []
        recognizer = StreamingRecognizer(
            self._decoder,
            settings=self._settings,
            language=language,
            observer=decoded.append,
            clock=clock,
        )
        before_s = self._meter.cpu_s()
        played = stream(recognizer, samples, chunk_ms=self._chunk_ms, clock=clock, slowdown=self._slowdown)
        events = list(played)
        cpu_s = self._meter.cpu_s() - before_s
        return Heard(events, cpu_s, self._meter.rss_mb(), asdict(recognizer.statistics()), decoded)


class VirtualClock:
    """Stands still but for computing, and for what is waited for.

    Args:
        busy_s: seconds of computing so far.
    """

    def __init__(self, busy_s: Callable[[], float]) -> None:
        self._busy_s = busy_s
        self._now_s = 0.0
        self._factor = 0.0
        self._read_s = busy_s()

    def __call__(self) -> float:
        """Seconds since the recording began."""
        busy_s = self._busy_s()
        self._now_s += self._factor * (busy_s - self._read_s)
        self._read_s = busy_s
        return self._now_s

    @contextmanager
    def computing(self, factor: float) -> Iterator[None]:
        """Meanwhile computing takes so many times what it takes here."""
        self()
        self._factor = factor
        try:
            yield
        finally:
            self()
            self._factor = 0.0

    def wait_until(self, at_s: float) -> None:
        """Nothing is computed before this moment."""
        self._now_s = max(self(), at_s)


def stream(
    recognizer: Recognizes,
    samples: Samples,
    *,
    chunk_ms: int,
    clock: VirtualClock,
    slowdown: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """Plays a recording to a recognizer that has one core to itself.

    Args:
        recognizer: fresh.
        samples: shape ``(n,)``, float32, 16 kHz mono.
        chunk_ms: a chunk arrives when its last sample has been recorded.
        clock: at its beginning; the recognizer may read it too.
        slowdown: multiplies what decodes take.

    Yields:
        Events of `rtstt_lab.records`, in the order of the virtual clock.
    """
    size = SAMPLE_RATE_HZ * chunk_ms // 1000
    chunks = [samples[start : start + size] for start in range(0, len(samples), size)]
    ends_s = [min((seq + 1) * size, len(samples)) / SAMPLE_RATE_HZ for seq in range(len(chunks))]

    def timed(work: Callable[[], Sequence[Result] | None], factor: float) -> list[dict[str, Any]]:
        with clock.computing(factor):
            results = work() or ()
        return [view_event(result, clock()) for result in results]

    seq = 0
    while True:
        while seq < len(chunks) and ends_s[seq] <= clock():
            yield from chunk_events(seq, seq * size / SAMPLE_RATE_HZ, ends_s[seq])
            chunk = chunks[seq]
            timed(lambda: recognizer.accept_audio(chunk), 1.0)  # noqa: B023 - called at once
            seq += 1
        if recognizer.wants_step:
            yield from timed(recognizer.step, slowdown)
        elif seq < len(chunks):
            clock.wait_until(ends_s[seq])
        else:
            break
    yield from timed(recognizer.settle, slowdown)

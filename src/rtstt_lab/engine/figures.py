"""What a session measures of itself (M2, M3), and what it makes of the machine's figures (A2, E3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rtstt_lab.audio.quality import Quality
from rtstt_lab.engine.effects import ResourceSample
from rtstt_lab.engine.pipeline import Pipeline
from rtstt_lab.protocol import messages as wire
from rtstt_lab.types import Word

_RECOVERED = 1.25


class Figures:
    """Counts between two `server:metrics`, and keeps the last of everything else.

    Attributes:
        errors: chunks and windows that failed, retries included.
        words: final ones.
        quality: of the last second of audio.
    """

    def __init__(self, now: float) -> None:
        self.errors = 0
        self.quality: Quality | None = None
        self.words = 0
        self._probability = 0.0
        self._chunks = 0
        self._since = now
        self._first: ResourceSample | None = None
        self._last = ResourceSample(0.0, 0.0, 0.0, 0.0)

    @property
    def confidence(self) -> float | None:
        """Mean probability of all final words."""
        return self._probability / self.words if self.words else None

    @property
    def process_cpu_s(self) -> float:
        """Processor time of the server's process tree since the session's first sample of it."""
        return self._last.process_cpu_s - self._first.process_cpu_s if self._first else 0.0

    def chunk(self) -> None:
        """One came in."""
        self._chunks += 1

    def final(self, words: Iterable[Word]) -> None:
        """A segment is closed."""
        for word in words:
            self.words += 1
            self._probability += word.probability

    def resources(self, sample: ResourceSample) -> None:
        """The machine was looked at."""
        self._first = self._first or sample
        self._last = sample

    def metrics(self, pipeline: Pipeline, now: float) -> wire.Metrics:
        """The message of the last second; begins the next one."""
        elapsed_s = max(now - self._since, 1e-3)
        chunks_per_s, self._chunks, self._since = self._chunks / elapsed_s, 0, now
        last, quality = self._last, self.quality
        return wire.Metrics(
            audio_s=pipeline.audio_s,
            heard_s=pipeline.hearing.heard_s,
            settled_s=pipeline.hearing.settled_s,
            queue_ms=round(pipeline.waiting_s * 1000),
            decode_ms=round(pipeline.decode_s * 1000),
            cpu_percent=last.cpu_percent,
            process_cpu_s=last.process_cpu_s,
            rss_mb=last.rss_mb,
            ram_available_mb=last.ram_available_mb,
            gpu=last.gpu,
            gpu_percent=last.gpu_percent,
            chunks_per_s=round(chunks_per_s, 2),
            confidence=self.confidence,
            errors=self.errors,
            quality=_wire_quality(quality) if quality else None,
        )


def _wire_quality(quality: Quality) -> wire.AudioQuality:
    return wire.AudioQuality(
        level_dbfs=round(quality.level_dbfs, 1),
        peak_dbfs=round(quality.peak_dbfs, 1),
        clipped_ratio=round(quality.clipped_ratio, 4),
        noise_dbfs=round(quality.noise_dbfs, 1),
        speech=quality.speech,
    )


class Alerts:
    """Conditions that a person is told about when they begin and when they end, and not in between.

    Args:
        low_memory_mb: see `memory`.
        queue_s: see `room`.
        warning_s: see `length`.
        on: what was told of before.
    """

    def __init__(
        self, low_memory_mb: float, queue_s: float, warning_s: float, *, on: Iterable[str] = ()
    ) -> None:
        self._low_memory_mb = low_memory_mb
        self._queue_s = queue_s
        self._warning_s = warning_s
        self._on = set(on)

    def memory(self, available_mb: float) -> wire.Alert | None:
        """A2: less than the bound is left; over when a quarter more is."""
        bound_mb = self._low_memory_mb * (_RECOVERED if "memory" in self._on else 1)
        return self._turn("memory", available_mb < bound_mb, available_mb)

    def room(self, room_s: float) -> wire.Alert | None:
        """Rule 7: the queue is full, "cannot keep up"; over when a tenth of it is free."""
        bound_s = self._queue_s / 10 if "backpressure" in self._on else 0.0
        return self._turn("backpressure", room_s <= bound_s, self._queue_s - room_s)

    def length(self, recorded_s: float) -> wire.Alert | None:
        """E3: the session ends soon."""
        return self._turn("length", recorded_s >= self._warning_s, recorded_s)

    def _turn(
        self, name: Literal["memory", "backpressure", "length"], on: bool, value: float
    ) -> wire.Alert | None:
        if on == (name in self._on):
            return None
        self._on ^= {name}
        return wire.Alert(name, on, round(value, 3))

"""The virtual clock, worked out by hand with a recognizer that computes for exactly known times."""

from __future__ import annotations

import numpy as np
import pytest

from rtstt_lab.lab.bench.streaming import VirtualClock, stream
from rtstt_lab.types import Final, Partial, Samples, Word

WORD = Word(" one", 0.1, 0.4, 0.9)


class Scripted:
    """Decodes whenever it has heard half a second more: 0.3 s of computing each, 0.1 s to settle."""

    def __init__(self) -> None:
        self.busy_s = 0.0
        self.heard = self.decoded = 0
        self.steps: list[int] = []

    @property
    def wants_step(self) -> bool:
        return self.heard - self.decoded >= 8_000

    def accept_audio(self, samples: Samples) -> None:
        self.heard += len(samples)

    def step(self) -> list[Partial]:
        self.busy_s += 0.3
        self.decoded = self.heard
        self.steps.append(self.heard)
        return [Partial(0, len(self.steps), (WORD,), 0, self.heard / 16_000)]

    def settle(self) -> list[Final]:
        self.busy_s += 0.1
        return [Final(0, (WORD,), self.heard / 16_000, "en")]


def played(slowdown: float) -> tuple[Scripted, list[dict]]:
    recognizer = Scripted()
    samples = np.zeros(round(1.6 * 16_000), np.float32)
    clock = VirtualClock(lambda: recognizer.busy_s)
    events = stream(recognizer, samples, chunk_ms=250, clock=clock, slowdown=slowdown)
    return recognizer, list(events)


def seen(events: list[dict]) -> list[float]:
    return [event["at_s"] for event in events if event["event"] in {"partial", "final"}]


def test_computing_moves_the_clock() -> None:
    """A view comes when its audio has arrived and its decode is done; the last chunk is as short as it is."""
    recognizer, events = played(1.0)
    assert recognizer.steps == [8_000, 16_000, 24_000]
    assert seen(events) == pytest.approx([0.8, 1.3, 1.8, 1.9])
    chunks = [event for event in events if event["event"] == "chunk"]
    assert [chunk["at_s"] for chunk in chunks] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.6])
    assert chunks[-1]["duration_s"] == pytest.approx(0.1)


def test_a_slow_machine_hears_more_at_once() -> None:
    """With decodes four times as long, what arrived meanwhile is heard by the next one."""
    recognizer, events = played(4.0)
    assert recognizer.steps == [8_000, 25_600]
    assert seen(events) == pytest.approx([1.7, 2.9, 3.3])

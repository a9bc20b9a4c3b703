"""A made-up run over a link that was cut once, with every number known."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pytest

from rtstt_lab import records
from rtstt_lab.analysis.runs import Run

mpl.use("Agg")


def make_run(name: str, cut_s: tuple[float, float] | None = None, **meta: Any) -> Run:
    """Eight chunks of 0.5 s, one word in each of the first six; latency 0.5 s unless the link is down."""

    def through(at_s: float) -> float:
        return cut_s[1] if cut_s and cut_s[0] <= at_s < cut_s[1] else at_s

    events: list[dict[str, Any]] = []
    for seq in range(8):
        begins, ends = seq / 2, (seq + 1) / 2
        events.append(
            {
                "event": "chunk",
                "at_s": ends,
                "seq": seq,
                "stream": 0,
                "bytes": 16_000,
                "audio_s": begins,
                "duration_s": 0.5,
                "captured_s": begins,
            }
        )
        events.append({"event": "sent", "at_s": through(ends), "seq": seq})
        events.append({"event": "accepted", "at_s": through(ends) + 0.02, "seq": seq})
        if seq < 6:
            word = (f" w{seq}", begins, ends, 0.5 + seq / 20)
            at_s = through(ends + 0.5)
            events.append(
                {"event": "final", "at_s": at_s, "segment": seq, "audio_end_s": ends, "words": [word]}
            )
    cut = [{"kind": "cut", "at_s": cut_s[0], "duration_s": cut_s[1] - cut_s[0]}] if cut_s else []
    ledger = {
        "captured": 8,
        "transmitted": 8,
        "accepted": 8,
        "duplicate": 0,
        "rejected": 0,
        "cut": 0,
        "lost": 0,
    }
    described = {
        "run": name,
        "audio_s": 4.0,
        "speech_end_s": 3.0,
        "stopped_s": 4.0,
        "process_cpu_s": 2.0,
        "faults": cut,
        "ledger": ledger | {"held": 0},
        **meta,
    }
    return Run(name, described, records.tables_of(sorted(events, key=lambda event: event["at_s"])))


@pytest.fixture
def clean() -> Run:
    return make_run("clean", model="tiny.en")


@pytest.fixture
def interrupted() -> Run:
    return make_run("cut", (1.0, 3.4), model="tiny.en")

"""Fault schedules: frozen data, and the law by which a channel lets things through."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.errors import UsageError
from rtstt_lab.replay.faults import (
    Bandwidth,
    Channel,
    Corrupted,
    Cut,
    Delay,
    Dropped,
    Duplicated,
    FaultSchedule,
    HalfOpen,
    Kill,
    Reordered,
    Sigstop,
)

ALL = FaultSchedule.of(
    Corrupted(at_s=11, duration_s=1, chunks=2),
    Duplicated(at_s=12, duration_s=1),
    Dropped(at_s=13, duration_s=1),
    Reordered(at_s=14, duration_s=1),
    Sigstop(at_s=15, duration_s=1),
    Kill(at_s=17, duration_s=0.5),
    HalfOpen(at_s=8, duration_s=2),
    Cut(at_s=3, duration_s=1),
    Delay(at_s=0, duration_s=5, delay_s=0.1, jitter_s=0.05),
    Bandwidth(at_s=0, duration_s=math.inf, bytes_per_s=1000),
)


def test_a_schedule_is_data() -> None:
    """It comes back from plain objects, is ordered by time, says what it is, and can be a key."""
    assert FaultSchedule.from_json(ALL.as_json()) == ALL
    assert hash(FaultSchedule.from_json(ALL.as_json())) == hash(ALL)
    assert str(FaultSchedule()) == "clean"
    assert str(FaultSchedule.cuts((25, 6), (10, 3))) == "cut 3 s at 10 s, cut 6 s at 25 s"
    assert FaultSchedule.cuts((25, 6), (10, 3)).cut_starts() == [10, 25]


def test_what_counts_from_stop_waits_for_it() -> None:
    """It does not happen before; from stop on it is a fault like any other, and nothing waits any more."""
    late = FaultSchedule.of(
        Cut(at_s=3, duration_s=1),
        after_stop=(Cut(at_s=0.5, duration_s=2), Delay(at_s=0, duration_s=1, delay_s=1)),
    )
    assert FaultSchedule.from_json(late.as_json()) == late
    assert str(late) == "cut 1 s at 3 s, delay 1000+0 ms from 0 s after stop, cut 2 s at 0.5 s after stop"
    assert late.cut_starts() == [3]
    assert not late.slowing(0.5)
    stopped = late.stopped(10.0)
    assert stopped.cut_starts() == [3, 10.5]
    assert stopped.slowing(10.0) == [Delay(at_s=10, duration_s=1, delay_s=1)]
    assert stopped.stopped(20.0) == stopped


def test_what_holds_when() -> None:
    """A cut refuses until its end; half-open spans put off; bandwidth is the least one."""
    assert [ALL.is_cut(t) for t in (2.9, 3.0, 3.9, 4.0)] == [False, True, True, False]
    assert [ALL.passes_at(t) for t in (7.9, 8.0, 9.9, 10.0)] == [7.9, 10, 10, 10]
    assert ALL.bytes_per_s(1) == 1000
    assert FaultSchedule().bytes_per_s(1) == math.inf


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "at_s": -1, "duration_s": 1},
        {"kind": "cut", "at_s": 0, "duration_s": 0},
        {"kind": "delay", "at_s": 0, "duration_s": 1, "delay_s": -0.1},
        {"kind": "bandwidth", "at_s": 0, "duration_s": 1, "bytes_per_s": 0},
        {"kind": "cut", "at_s": 0, "duration_s": math.nan},
        {"kind": "dropped", "at_s": 0, "duration_s": 1, "chunks": 0},
        {"kind": "meteor", "at_s": 0, "duration_s": 1},
        {"kind": "cut", "at_s": 0, "duration_s": 1, "since": "lunch"},
        {"kind": "kill", "at_s": 0, "duration_s": 1, "since": "stop"},
        {"kind": "cut", "at_s": 0, "duration_s": 1, "depth_m": 3},
    ],
)
def test_impossible_faults_are_refused(fault: dict[str, float]) -> None:
    """A figure or kind that no link can have is a usage error that names it."""
    with pytest.raises(UsageError, match="fault"):
        FaultSchedule.from_json([fault])


puts = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5000)), min_size=1, max_size=20)


@settings(deadline=None)
@given(puts, st.integers(0, 2**32 - 1))
def test_a_channel_keeps_order_and_never_hurries(steps: list[tuple[float, int]], seed: int) -> None:
    """Arrivals keep order, follow their sending, avoid half-open spans; one seed, one course."""

    def arrivals() -> list[float]:
        channel, now_s, out = Channel(ALL, np.random.default_rng(seed)), 0.0, []
        for wait_s, size in steps:
            now_s += wait_s
            out.append(channel.arrival_s(now_s, size))
            assert out[-1] >= now_s + size / 1000 - 1e-9
        return out

    first = arrivals()
    assert first == sorted(first)
    assert not any(8 <= at_s < 10 for at_s in first)
    assert first == arrivals()


def test_bandwidth_and_delay_by_hand() -> None:
    """500 bytes at 1000 B/s and 100 ms of delay take 0.6 s; the next 500 queue behind them."""
    schedule = FaultSchedule.of(
        Delay(at_s=0, duration_s=9, delay_s=0.1), Bandwidth(at_s=0, duration_s=9, bytes_per_s=1000)
    )
    channel = Channel(schedule, np.random.default_rng(0))
    assert [channel.arrival_s(0, 500), channel.arrival_s(0, 500)] == pytest.approx([0.6, 1.1])

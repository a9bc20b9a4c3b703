"""Latency per chunk (M1), and the small clocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.protocol.latency import LatencyTracker, nearest_rank
from rtstt_lab.protocol.timing import Backoff, Counter, TokenBucket, earliest, to_ms


def tracker(count: int) -> LatencyTracker:
    result = LatencyTracker()
    for seq in range(count):
        result.sent(seq, duration_ms=250, end_ms=250 * (seq + 1), now=0.25 * (seq + 1))
    return result


@pytest.mark.requirement("M1")
def test_a_chunk_is_covered_by_the_first_result_that_reaches_its_end():
    """Later results and repetitions of the chunk change nothing; chunks without a word are kept apart."""
    latency = tracker(4)
    latency.sent(0, duration_ms=250, end_ms=250, now=9.0)
    latency.result(600, [(10, 400)], now=1.5)
    latency.result(1_000, [(10, 400)], now=2.0)
    assert [(c.covered_s, c.speech) for c in latency.chunks] == [
        (1.5, True),
        (1.5, True),
        (2.0, False),
        (2.0, False),
    ]
    figures = latency.figures()
    assert figures is not None
    assert (figures.n, figures.mean_ms, figures.p50_ms, figures.p95_ms) == (2, 1_125, 1_000, 1_250)


@pytest.mark.requirement("M1")
def test_speech_that_nothing_covers_waits_until_the_end():
    """A chunk under a word whose end no result reaches counts until stop; silence never counts."""
    latency = tracker(3)
    latency.result(250, [(0, 300)], now=1.0)
    latency.finish(5.0)
    assert [(c.covered_s, c.speech) for c in latency.chunks] == [(1.0, True), (5.0, True), (None, False)]


@pytest.mark.requirement("A1")
def test_silence_that_was_listened_to_is_no_latency():
    """The present latency is the newest speech's, or the age of what was not listened to yet."""
    latency = tracker(2)
    assert latency.current_s(4.0) == 3.75
    latency.heard(250)
    assert latency.current_s(4.0) == 3.5
    latency.heard(500)
    assert latency.current_s(4.0) == 0.0


@given(st.lists(st.floats(0, 10), min_size=1), st.sampled_from([0.5, 0.95]))
@settings(deadline=None)
def test_nearest_rank(values, share):
    """At least that share of the values are not above it, and it is one of them."""
    values.sort()
    value = nearest_rank(values, share)
    assert value in values
    assert sum(v <= value for v in values) >= share * len(values)


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 10))
@settings(deadline=None)
def test_a_bucket_never_lets_more_through_than_its_rate(waits, rate):
    """Over any stretch from the start: at most the burst and rate × time; and `ready_at` keeps its word."""
    bucket = TokenBucket(rate, rate, 0.0)
    now, taken = 0.0, 0
    for wait in waits:
        now += wait
        while bucket.take(now):
            taken += 1
        assert taken <= rate + rate * now + 1e-3
        ready = bucket.ready_at()
        assert ready > now
        assert bucket.take(ready)
        now, taken = ready, taken + 1


def test_a_granted_burst_is_on_top():
    """What a client held during an outage comes through at once."""
    bucket = TokenBucket(2, 2, 0.0)
    bucket.grant(5, 0.0)
    assert sum(bucket.take(0.0) for _ in range(20)) == 7


def test_small_clocks():
    """Backoff runs out and starts anew; a counter forgets; rounding is half up and never negative."""
    backoff = Backoff((1.0, 2.0))
    assert [backoff.next_s(), backoff.next_s(), backoff.next_s(), backoff.tried] == [1.0, 2.0, None, 2]
    backoff.reset()
    assert backoff.next_s() == 1.0
    counter = Counter(2, 60.0)
    assert [counter.add(0.0), counter.add(59.0), counter.full(60.0), counter.free_at()] == [
        False,
        True,
        False,
        60.0,
    ]
    assert [to_ms(0.0005), to_ms(0.0025), to_ms(-1.0)] == [1, 3, 0]
    assert (earliest(None, 2.0, 1.0), earliest(None)) == (1.0, None)

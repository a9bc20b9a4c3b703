"""Chunks at both ends: order, bounds, credit, and what is freed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.protocol.messages import MAX_MISSING, Received
from rtstt_lab.protocol.send_window import SendWindow
from rtstt_lab.protocol.windows import ReceiveWindow


def filled(count: int, *, buffer: int = 10**6, in_flight: int = 64, size: int = 10) -> SendWindow:
    window = SendWindow(buffer, in_flight)
    window.credit_ms = 120_000
    for n in range(count):
        window.append(b"x" * size, duration_ms=250, captured_ms=250 * n, stream=0)
    return window


def send_all(window: SendWindow) -> list[int]:
    sent = []
    while (chunk := window.to_send()) is not None:
        window.sent(chunk)
        sent.append(chunk.seq)
    return sent


@pytest.mark.requirement("E4")
@given(st.lists(st.integers(0, 40), max_size=200))
@settings(deadline=None)
def test_any_arrivals_come_out_in_order_and_once(arrivals):
    """Whatever comes in whatever order, each number is given out once, and what is missing is known."""
    window: ReceiveWindow[int] = ReceiveWindow(16, 1_000)
    out: list[int] = []
    for seq in arrivals:
        if not window.known(seq):
            taken = window.offer(seq, seq, 1)
            assert taken == (seq < window.next_seq + 16)
        while (item := window.pop()) is not None:
            out.append(item)
        missing = window.missing()
        assert missing == tuple(sorted(set(missing)))
        assert all(not window.known(number) for number in missing)
    assert out == list(range(window.next_seq))


@given(st.sets(st.integers(0, 10_000)))
@settings(deadline=None)
def test_no_more_is_asked_for_than_fits(wanted):
    """At most 64 numbers are asked for, the lowest first, and none that could not be taken."""
    window: ReceiveWindow[int] = ReceiveWindow(256, 1_000)
    for seq in wanted:
        window.want(seq)
    assert window.missing() == tuple(sorted(seq for seq in wanted if seq < 256))[:MAX_MISSING]


@pytest.mark.requirement("O3")
def test_waiting_chunks_are_bounded_in_bytes():
    """A chunk out of order is turned back when the room is used up; the one in order never is."""
    window: ReceiveWindow[int] = ReceiveWindow(256, 100)
    assert window.offer(1, 1, 80)
    assert not window.offer(2, 2, 80)
    assert window.offer(0, 0, 80)
    assert [window.pop(), window.pop(), window.pop()] == [0, 1, None]
    assert window.missing() == (2,)


def test_a_gap_can_be_given_up():
    """Skipping goes to the first chunk that waits."""
    window: ReceiveWindow[str] = ReceiveWindow(256, 100)
    window.offer(2, "two", 1)
    assert window.gap == (0, 2)
    assert window.missing() == (0, 1)
    assert [window.skip(), window.skip(), window.gap, window.pop()] == [0, 1, None, "two"]


@pytest.mark.requirement("O3")
@given(st.integers(0, 3_000), st.integers(1, 20), st.integers(0, 30))
@settings(deadline=None)
def test_credit_and_window_bound_what_is_on_its_way(credit_ms, in_flight, count):
    """Unanswered audio stays within credit (but for one chunk) and within the bound on chunks."""
    window = filled(count, in_flight=in_flight)
    window.credit_ms = credit_ms
    sent = send_all(window)
    assert len(sent) <= in_flight
    assert len(sent) * 250 <= max(credit_ms, 250 if credit_ms else 0)
    assert sent == list(range(len(sent)))


def test_missing_chunks_go_again_only_if_they_are_not_on_their_way():
    """An ack that was written before the repetition arrived asks for nothing new."""
    window = filled(4)
    assert send_all(window) == [0, 1, 2, 3]
    window.answered(1, missing=(0,))
    assert send_all(window) == [0]
    window.answered(2, missing=(0,))
    assert send_all(window) == []
    window.answered(3, missing=(0,))
    assert send_all(window) == []
    window.answered(0, missing=(0,))
    assert send_all(window) == [0]


@pytest.mark.requirement("O3")
def test_only_what_is_below_both_marks_is_freed():
    """Committed and not needed for a restart: then a chunk goes, not before."""
    window = filled(6)
    send_all(window)
    window.advance(5, committed_seq=4, resume_seq=2)
    assert window.bounds == (2, 5)
    window.advance(6, committed_seq=6, resume_seq=6)
    assert window.bounds is None


def test_a_server_that_starts_anew_gets_the_chunks_again():
    """Chunks received but not committed are sent again when the server wants earlier ones than before."""
    window = filled(6)
    send_all(window)
    window.advance(6, committed_seq=2, resume_seq=2)
    window.link_lost()
    assert window.synchronise(2) == []
    assert send_all(window) == [2, 3, 4, 5]


@pytest.mark.requirement("O3")
def test_overflow_gives_up_copies_first_and_then_new_audio():
    """Received chunks but the recorder's first make room; then the newest audio is lost, and said to be."""
    window = filled(4, buffer=40)
    send_all(window)
    window.advance(3, committed_seq=0, resume_seq=0)
    results = [window.append(b"y" * 10, duration_ms=250, captured_ms=0, stream=0)[1] for _ in range(5)]
    assert results == [None, None, "buffer_full", "buffer_full", "buffer_full"]
    ledger = window.ledger(4, Received(accepted=3))
    assert (ledger.captured, ledger.lost, ledger.held, ledger.cut) == (9, 3, 3, 1)
    assert ledger.balanced()
    window.link_lost()
    assert window.synchronise(1) == [1, 2]


def test_a_chunk_over_the_limit_is_lost_at_once():
    """Too large for the server is known before it is sent; only a mark for it goes out."""
    window = filled(0)
    window.max_chunk_bytes = 5
    assert window.append(b"123456", duration_ms=250, captured_ms=0, stream=0) == (0, "too_large")
    chunk = window.to_send()
    assert chunk is not None
    assert chunk.payload is None


def test_ending_loses_only_what_was_not_received():
    """What the server has is not lost when the session takes no more."""
    window = filled(5)
    send_all(window)
    window.advance(3, committed_seq=0, resume_seq=0)
    assert window.close() == (3, 4)
    assert window.to_send() is None
    assert window.ledger(5, Received(accepted=3)).lost == 2


@pytest.mark.requirement("O3", "R1")
def test_each_recorders_first_chunk_is_kept_as_long_as_it_may_be_needed():
    """For its container's header: counted as held, let go of with its recorder, and at the session's end."""
    window = SendWindow(100, 64)
    window.credit_ms = 120_000
    for stream in (0, 0, 0, 1, 1):
        assert window.append(b"x" * 20, duration_ms=250, captured_ms=0, stream=stream)[1] is None
    send_all(window)
    window.advance(2, committed_seq=2, resume_seq=2)
    assert window.append(b"y" * 20, duration_ms=250, captured_ms=0, stream=1)[1] is None
    assert window.append(b"y" * 20, duration_ms=250, captured_ms=0, stream=1)[1] == "buffer_full", "0 counts"
    assert window.synchronise(2, header_seq=0) == []
    assert (window.to_send().seq, window.is_header(window.to_send())) == (0, True)
    assert send_all(window) == [0, 2, 3, 4, 5, 6]
    window.advance(5, committed_seq=3, resume_seq=3)
    window.synchronise(5, header_seq=3)
    assert send_all(window) == [3, 5, 6]
    window.advance(7, committed_seq=7, resume_seq=7)
    window.synchronise(7, header_seq=3)
    assert window.is_header(window.to_send()), "the present recorder's, though nothing else is held"
    window.free()
    assert window.append(b"z" * 100, duration_ms=250, captured_ms=0, stream=2)[1] is None, "all is free"


@pytest.mark.requirement("R1")
def test_a_session_that_ends_keeps_what_it_has_received():
    """A server that is killed while it finishes wants it again; what lies behind the end is lost."""
    window = filled(6)
    send_all(window)
    window.advance(4, committed_seq=0, resume_seq=0)
    assert window.close() == (4, 5)
    window.link_lost()
    assert window.synchronise(1) == []
    assert send_all(window) == [1, 2, 3]
    window.advance(4, committed_seq=0, resume_seq=0)
    assert window.close() is None
    assert window.ledger(9, Received(accepted=4)).balanced()

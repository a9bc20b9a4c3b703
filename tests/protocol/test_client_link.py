"""The client's link: attempts, the retry ladder, silence, and the ways it ends."""

from __future__ import annotations

import pytest
from tests.protocol.listen import final, greet, of, opened, record, say, sent, sync

from rtstt_lab.errors import LifecycleError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import NEVER_RETRIED, ClientSession
from rtstt_lab.protocol.lifecycle import Link, Mode, Shown
from rtstt_lab.protocol.timing import Counter


@pytest.mark.requirement("L2")
def test_open_means_answered():
    """A socket that is up is not an open link; the server's first message makes it one."""
    client = ClientSession("s", "first")
    client.connect(0.0)
    assert of(client, ev.OpenLink) == [ev.OpenLink(0)]
    client.link_opened(0.1)
    assert client.shown is Shown.CONNECTING
    assert sent(client, 0.1) == [wire.ClientHello("first")]
    say(client, 0.2, wire.SessionCreated("s", wire.PROTOCOL, "base", None, wire.Limits(), sync()))
    assert client.shown is Shown.CONNECTED


@pytest.mark.requirement("L4", "E1", "R3")
def test_retries_follow_the_ladder_and_end_in_block_mode():
    """Retries after 1, 2, 4, 8, 16 s; when all fail: Error, mode block, and audio is still taken."""
    client = opened()
    client.start(0.0)
    now, waits = 1.0, []
    client.link_lost("cut", now)
    while client.link is not Link.CLOSED:
        assert client.shown is Shown.RECONNECTING
        deadline = client.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        client.handle_timer(now)
        assert len(of(client, ev.OpenLink)) == 1
        client.link_lost("refused", now)
    assert waits == [1, 2, 4, 8, 16]
    assert (client.shown, client.mode) == (Shown.ERROR, Mode.BLOCK)
    assert [error.message.code for error in of(client, ev.ErrorReceived)] == ["connection_failed"]
    record(client, 2, now)
    assert client.held_ms == 500


@pytest.mark.requirement("L4")
def test_a_server_that_does_not_answer_is_a_failed_attempt():
    """Three seconds for the socket, three for the first message."""
    client = ClientSession("s", "first")
    client.connect(0.0)
    assert client.next_deadline() == 3.0
    client.link_opened(2.0)
    assert client.next_deadline() == 5.0
    client.handle_timer(5.0)
    assert of(client, ev.CloseLink) == [ev.CloseLink(4000, "connect_timeout")]
    assert client.next_deadline() == 6.0


@pytest.mark.requirement("L4")
def test_a_silent_link_is_lost_within_twelve_seconds():
    """A ping every 5 s; ten without a frame are a loss, and the socket is closed."""
    client = opened()
    now = 0.0
    pings = 0
    while client.link is Link.OPEN:
        now = client.next_deadline()
        client.handle_timer(now)
        pings += sum(isinstance(message, wire.ClientPing) for message in sent(client, now))
    assert now == 10.0
    assert pings == 1
    assert of(client, ev.CloseLink) == [ev.CloseLink(4000, "silence")]
    assert client.shown is Shown.RECONNECTING


def test_any_frame_keeps_the_link():
    """A ping from the server is answered and counts as life."""
    client = opened()
    say(client, 9.0, wire.ServerPing(7))
    assert sent(client, 9.0) == [wire.ClientPong(7)]
    client.handle_timer(12.0)
    assert client.link is Link.OPEN


@pytest.mark.requirement("L4")
def test_the_ladder_starts_anew_after_ten_seconds_of_acknowledged_traffic():
    """A link that opens and breaks at once uses the ladder up; one that proves itself does not."""
    client = opened()
    client.link_lost("cut", 1.0)
    for now, proved in ((2.0, False), (20.0, True)):
        client.handle_timer(client.next_deadline())
        greet(client, now)
        say(client, now + (10.0 if proved else 9.0), wire.ServerPong(0, 0))
        client.link_lost("cut", now + 10.0)
        assert client.next_deadline() == now + 10.0 + (1.0 if proved else 2.0)


@pytest.mark.parametrize("code", sorted(NEVER_RETRIED))
def test_some_codes_are_never_retried(code):
    """After these the attempt is over, with an error that says so."""
    client = opened()
    client.link_lost("no", 1.0, code=code)
    assert (client.shown, client.mode) == (Shown.ERROR, Mode.STREAM)
    (error,) = of(client, ev.ErrorReceived)
    assert error.message.parameters["code"] == code
    assert error.message.fatal
    assert client.next_deadline() is None


def test_a_fatal_error_says_why_and_is_told_once():
    """The message comes before the close; the close itself adds nothing."""
    client = opened()
    say(client, 1.0, wire.ServerError("continued_elsewhere", "…", fatal=True))
    client.link_lost("closed", 1.0, code=4409)
    events = client.events()
    assert [e.message.code for e in events if isinstance(e, ev.ErrorReceived)] == ["continued_elsewhere"]
    assert [e.shown for e in events if isinstance(e, ev.StateChanged)] == [Shown.ERROR]


def test_a_server_may_ask_for_a_longer_wait():
    """A fatal error that can be retried stretches the ladder; too long a wait ends the attempt."""
    client = opened()
    say(
        client,
        1.0,
        wire.ServerError("limit_reconnections", "…", fatal=True, retryable=True, retry_after_ms=9_000),
    )
    assert (client.shown, client.next_deadline()) == (Shown.RECONNECTING, 10.0)
    client = opened()
    say(
        client,
        1.0,
        wire.ServerError("limit_reconnections", "…", fatal=True, retryable=True, retry_after_ms=900_000),
    )
    assert client.shown is Shown.ERROR


@pytest.mark.requirement("R2")
def test_a_new_attempt_begins_at_connecting():
    """By hand, also when stop was pressed already: Error, Connecting, Finalizing."""
    client = opened()
    client.start(0.0)
    client.stop(0.0)
    client.use_blocks(1.0)
    assert (client.shown, client.mode) == (Shown.ERROR, Mode.BLOCK)
    client.events()
    client.reconnect(2.0)
    assert [e.shown for e in of(client, ev.StateChanged)] == [Shown.CONNECTING, Shown.FINALIZING]
    assert client.mode is Mode.STREAM
    greet(client, 2.0, phase="completed", last_event=1)
    assert client.shown is Shown.COMPLETED
    with pytest.raises(LifecycleError):
        client.reconnect(3.0)


@pytest.mark.requirement("R2")
def test_reconnecting_an_open_link_closes_the_old_socket():
    """By hand on an open link: close, open anew, nothing sent twice by mistake."""
    client = opened()
    client.reconnect(1.0)
    assert [type(e) for e in client.events()][:2] == [ev.CloseLink, ev.OpenLink]
    assert client.shown is Shown.RECONNECTING


@pytest.mark.requirement("A3")
def test_three_reconnections_in_two_minutes_suggest_block_mode():
    """The alert goes on with the third and off when they lie far enough back."""
    client = opened()
    for n in range(3):
        client.link_lost("cut", 10.0 * n)
        client.handle_timer(client.next_deadline())
        greet(client, 10.0 * n + 5)
    events = client.events()
    assert [e.outage_s for e in events if isinstance(e, ev.Resumed)] == [5.0, 5.0, 5.0]
    assert [e for e in events if isinstance(e, ev.AlertRaised)] == [ev.AlertRaised("reconnections", 3)]
    client.handle_timer(124.9)
    assert of(client, ev.AlertCleared) == []
    client.handle_timer(125.0)
    assert of(client, ev.AlertCleared) == [ev.AlertCleared("reconnections", 0)]


def test_closing_ends_the_attempt_only():
    """Close says 1000 and nothing more is tried; what is told of the dead socket is passed over."""
    client = opened()
    client.close(1.0)
    assert of(client, ev.CloseLink) == [ev.CloseLink(1000, "closed")]
    client.link_lost("closed", 1.0, code=1000)
    say(client, 1.0, final(1))
    assert client.next_deadline() is None
    assert client.finals == []


@pytest.mark.requirement("A3")
def test_a_counter_is_free_at_the_very_moment_that_it_names():
    """Sums of floats are rounded: a deadline that did not help would be set again without end."""
    for start in (113.9, 0.1, 177.29999999999998):
        counter = Counter(1, 120.0)
        counter.add(start)
        assert counter.full(start)
        assert not counter.full(counter.free_at())

"""Who may come in, who has to go, and when a link is lost."""

from __future__ import annotations

import hashlib

import pytest
from tests.protocol.talk import Talk, talk

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server_parts import token_hash


@pytest.mark.requirement("L2")
def test_the_greeting_carries_all_a_client_needs():
    """session_created: id, protocol, limits, model, next token, the numbers, the phase."""
    server = Talk(limits=wire.Limits(max_chunks_per_s=7))
    server.open(wire.ClientHello("token-0"))
    (created,) = server.got(wire.SessionCreated)
    assert (created.session_id, created.protocol, created.model) == ("s", wire.PROTOCOL, "base")
    assert created.limits.max_chunks_per_s == 7
    assert (created.sync.token, created.sync.phase, created.sync.next_seq) == ("token-1", "idle", 0)
    assert server.events == [ev.Opened(1, resumed=False)]


@pytest.mark.requirement("S1", "S3")
@pytest.mark.parametrize(
    ("hello", "code", "close"),
    [
        (wire.ClientHello("wrong"), "authentication", 4401),
        (wire.ClientHello(""), "authentication", 4401),
        (wire.ClientPing(1), "hello_first", 4401),
        (wire.ClientHello("token-0", protocol="rtstt.v9"), "protocol_version", 4400),
    ],
)
def test_a_link_that_may_not_come_in_is_told_why(hello, code, close):
    """The reason goes out as a message before the close."""
    server = Talk()
    server.open(hello)
    assert server.codes() == [code]
    assert server.got(wire.ServerError)[0].fatal
    assert server.closed() == [(1, close)]
    assert server.session.link is None


def test_a_binary_frame_is_no_hello():
    """Audio before the hello turns the link away."""
    server = Talk()
    server.open(None)
    server.chunk(0)
    assert server.codes() == ["hello_first"]
    assert server.session.received == wire.Received()


def test_a_hello_has_five_seconds():
    """A link that says nothing is closed; the client may try again."""
    server = Talk()
    server.open(None)
    assert server.session.next_deadline() == 5.0
    server.at(5.0)
    assert server.codes() == ["hello_late"]
    assert server.got(wire.ServerError)[0].retryable


@pytest.mark.requirement("S4", "O3")
def test_links_that_wait_are_bounded():
    """The ninth socket without a hello is turned away, with a time to try again."""
    server = Talk()
    for _ in range(9):
        server.open(None)
    assert server.codes(9) == ["limit_links"]
    assert server.got(wire.ServerError, 9)[0].retry_after_ms == 5_000
    assert server.closed() == [(9, 4429)]


@pytest.mark.requirement("L4", "S3")
def test_tokens_survive_a_cut_at_any_point():
    """The present token and those issued since are valid until a newer one was used."""
    server = Talk()
    for token in ("token-0", "token-0", "token-1", "token-1", "token-3"):
        server.open(wire.ClientHello(token, resuming=True))
        assert server.codes() == []
    for token in ("token-0", "token-1", "token-2", "token-4"):
        server.open(wire.ClientHello(token, resuming=True))
        assert server.codes() == ["authentication"]
    server.open(wire.ClientHello("token-5", resuming=True))
    assert server.codes() == []


@pytest.mark.requirement("S2", "S3")
def test_only_hashes_of_tokens_are_kept():
    """What the session holds of a token is its SHA-256; the API token opens every session."""
    server = Talk(api_token_hash=token_hash("api"))
    fresh = server.session.issue_token()
    assert server.session.token_hashes == tuple(
        hashlib.sha256(token.encode()).hexdigest() for token in ("token-0", fresh)
    )
    server.open(wire.ClientHello("api"))
    assert server.codes() == []


@pytest.mark.requirement("L4")
def test_a_second_client_takes_over():
    """The first one is told "continued elsewhere" and closed with 4409; the session itself is untouched."""
    server = talk()
    second = server.open(wire.ClientHello("token-1"))
    assert server.codes(1) == ["continued_elsewhere"]
    assert server.closed() == [(1, 4409)]
    assert server.session.link == second
    assert server.session.phase is Phase.RECORDING
    server.say(wire.ClientControl("stop", 2, 0), link=1)
    assert server.session.phase is Phase.RECORDING


def test_a_late_hello_does_not_take_over():
    """A hello of an earlier attempt that arrives after a newer one is turned away."""
    server = talk()
    server.open(wire.ClientHello("token-1", resuming=True, attempt=3))
    server.open(wire.ClientHello("token-1", resuming=True, attempt=2))
    assert server.codes() == ["hello_stale"]
    assert server.session.link == 2


@pytest.mark.requirement("S4")
def test_reconnections_are_limited():
    """Over the limit an hour: refused, with the limit and the wait; later it is free again."""
    server = Talk(limits=wire.Limits(max_reconnections_per_h=2))
    for now in (0.0, 10.0, 20.0, 30.0):
        server.now = now
        server.open(wire.ClientHello("token-0", resuming=True))
    (error,) = server.got(wire.ServerError)
    assert (error.code, error.parameters["limit"], error.retry_after_ms) == (
        "limit_reconnections",
        2,
        3_580_000,
    )
    assert server.closed()[-1] == (4, 4429)
    server.now = 3_611.0
    server.open(wire.ClientHello("token-0", resuming=True))
    assert server.codes() == []


@pytest.mark.requirement("L4")
def test_a_silent_client_is_let_go():
    """A ping every 5 s, ten without a frame are a loss; the session is kept."""
    server = talk()
    server.at(5.0)
    assert server.got(wire.ServerPing) == [wire.ServerPing(5_000)]
    server.at(10.0)
    assert server.closed() == [(1, 4000)]
    assert server.session.link is None
    assert ev.ClientLost(1) in server.events
    assert server.session.phase is Phase.RECORDING


def test_a_ping_is_answered_with_the_servers_clock():
    """The pong echoes the ping and adds the time for the clocks' sake."""
    server = talk()
    server.now = 2.5
    server.say(wire.ClientPing(99))
    assert server.got(wire.ServerPong) == [wire.ServerPong(99, 2_500)]

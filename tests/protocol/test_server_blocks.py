"""Blocks at the server: the same chunks and buttons, by the same rules, without a link."""

from __future__ import annotations

import binascii

import pytest
from tests.protocol.talk import Talk, talk

from rtstt_lab.errors import AuthenticationError, MalformedFrameError
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import encode_block
from rtstt_lab.protocol.lifecycle import Phase, PhaseEvent
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.protocol.server_state import ProtocolState

SUMMARY = wire.Summary(1.0, 1, 1.0, None, wire.Received(), "t.txt", complete=True, language="en")


def chunk(seq: int, payload: bytes = b"abc", **changes) -> bytes:
    fields = {"seq": seq, "stream": 0, "bytes": len(payload), "crc32": binascii.crc32(payload)}
    fields |= {"duration_ms": 250, "captured_ms": 250 * seq, "sent_ms": 0, "mime": "audio/pcm"}
    return wire.encode_audio(wire.AudioHeader(**(fields | changes)), payload)


def post(server: Talk, *frames: bytes, controls=(), after=0, new=False, **more) -> wire.BlockReceipt:
    body = encode_block(controls, frames)
    token = more.get("token", "token-0")
    receipt = server.session.receive_block(body, server.now, token=token, after=after, new=new)
    server.drain()
    return receipt


START = wire.ClientControl("start", 1, 0)


@pytest.mark.requirement("R3", "E4")
def test_a_block_is_taken_by_the_rules_of_the_socket():
    """Order, duplicates, damage and what is missing: marks and ledger say the same as over a link."""
    server = Talk()
    receipt = post(server, chunk(0), chunk(1), controls=[START])
    assert (receipt.ack.next_seq, receipt.ack.controls, receipt.phase) == (2, 1, "recording")
    assert [event.state for event in receipt.events] == ["recording"]
    receipt = post(server, chunk(1), chunk(2, crc32=1), chunk(3), after=1)
    assert (receipt.ack.next_seq, receipt.ack.missing, receipt.events) == (2, (2,), ())
    assert [(record.seq, record.code) for record in receipt.rejected] == [(2, "checksum")]
    assert receipt.ack.received == wire.Received(accepted=2, duplicate=1, rejected=1)
    receipt = post(server, chunk(2), after=1)
    assert (receipt.ack.next_seq, receipt.ack.missing) == (4, ())
    assert server.given_out() == [0, 1, 2, 3]


@pytest.mark.requirement("R3")
def test_what_came_both_ways_is_decoded_once():
    """A link may be there beside the blocks, and each chunk counts by whichever way it came first."""
    server = talk()
    server.chunk(0)
    receipt = post(server, chunk(0), chunk(1))
    assert receipt.ack.received == wire.Received(accepted=2, duplicate=1)
    server.chunk(1)
    server.chunk(2)
    assert server.given_out() == [0, 1, 2]
    assert server.got(wire.ServerAck)[-1].received == wire.Received(accepted=3, duplicate=2)


@pytest.mark.requirement("M1", "R3")
def test_a_block_tells_the_latency():
    """The client's figures come with its blocks, too, and are the ones that the summary names."""
    server = Talk()
    figures = wire.LatencyFigures(1, 400, 400, 400)
    post(server, chunk(0), controls=[START, wire.ClientAck(99, figures)])
    assert server.session.latency == figures
    assert server.session.acknowledged_event == 1, "no more than there is"


@pytest.mark.requirement("R3", "L6")
def test_buttons_act_between_their_chunks():
    """Stop after chunk 1, whatever the order of the records; what comes behind it is refused."""
    server = Talk()
    stop = wire.ClientControl("stop", 2, 2)
    receipt = post(server, chunk(0), chunk(1), chunk(2), controls=[START, stop])
    assert server.session.phase is Phase.FINALIZING
    assert [(record.seq, record.code) for record in receipt.rejected] == [(2, "chunk_after_stop")]
    server.session.set_phase(PhaseEvent.SAVED)
    server.session.completed(SUMMARY)
    receipt = post(server, after=1)
    assert receipt.phase == "completed"
    assert isinstance(receipt.events[-1], wire.SessionCompleted)
    post(server, after=receipt.last_event)
    assert server.session.acknowledged_event == receipt.last_event


@pytest.mark.requirement("S3", "L4")
def test_a_token_is_as_good_for_a_block_as_for_a_hello():
    """A wrong one takes nothing; the next one, once used, makes the one before worthless."""
    server = talk()
    with pytest.raises(AuthenticationError):
        post(server, chunk(0), token="token-9")
    assert server.given_out() == []
    assert post(server, token="token-0").token is None
    post(server, chunk(0), token="token-1")
    with pytest.raises(AuthenticationError):
        post(server, token="token-0")


def test_a_block_that_cannot_be_read_takes_nothing():
    """One record that is broken, and the good ones before it wait for their repetition."""
    server = talk()
    with pytest.raises(MalformedFrameError):
        post(server, chunk(0), b"\x05\x00\x00\x00{}")
    assert server.session.received == wire.Received()


@pytest.mark.requirement("L4")
def test_a_new_client_numbers_on():
    """What another client still owed will not come; the receipt says where numbers stand."""
    server = talk()
    server.chunk(0)
    server.chunk(2)
    receipt = post(server, new=True)
    assert receipt.ack.next_seq == 3
    assert (receipt.next_stream, receipt.ack.controls) == (1, 1)
    assert receipt.audio_ms == server.session.audio_ms


@pytest.mark.requirement("O3", "R3")
def test_a_receipt_is_bounded():
    """Hundreds of events come in several receipts, in order, none twice."""
    server = talk()
    for _ in range(600):
        server.session.status()
    seen, after, receipts = [], 0, 0
    while after < server.session.last_event:
        receipt = post(server, after=after)
        seen += [event.event for event in receipt.events]
        after, receipts = seen[-1], receipts + 1
    assert seen == list(range(1, 602))
    assert receipts == 3


@pytest.mark.requirement("L4")
def test_tokens_survive_a_cut_before_during_and_after_their_delivery():
    """Whatever of six greetings is lost, or comes and is not used: the token in the client's hands opens."""
    for lost in range(2**6):
        server, token = Talk(), "token-0"
        for attempt in range(6):
            link = server.open(wire.ClientHello(token, resuming=attempt > 0, attempt=attempt))
            (greeting,) = server.got(wire.SessionCreated if attempt == 0 else wire.Status, link)[:1]
            if not lost >> attempt & 1:
                token = greeting.sync.token
            server.session.link_lost(link, server.now)
        server.open(wire.ClientHello(token, resuming=True, attempt=6))
        assert server.session.link == server.link, f"{lost:06b}"


@pytest.mark.requirement("S1", "O3")
def test_only_so_many_lost_events_are_believed():
    """However often a client claims events that a power cut took from the journal: the log stays bounded."""
    server = Talk(restored=ProtocolState((token_hash("token-0"),)))
    for _ in range(5):
        server.session.receive_block(b"", 0.0, token="token-0", after=2**53 - 1)
    assert server.session.last_event == 1_000

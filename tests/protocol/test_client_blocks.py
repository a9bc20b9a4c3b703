"""Block mode at the client: when a block goes out, what it holds, and how it ends."""

from __future__ import annotations

import pytest
from tests.protocol.listen import ack, final, greet, of, opened, record, say

from rtstt_lab.errors import LifecycleError, MalformedFrameError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import encode_block, last_receipt, split_block
from rtstt_lab.protocol.client import ClientSession, ClientSettings
from rtstt_lab.protocol.lifecycle import Link, Mode, Phase, Shown

SUMMARY = wire.Summary(1.0, 1, 1.0, None, wire.Received(accepted=4), "t.txt", complete=True, language="en")


def receipt(next_seq: int = 0, phase: str = "recording", controls: int = 1, **changes) -> wire.BlockReceipt:
    marks = {name: changes.pop(name) for name in ("committed_seq", "resume_seq") if name in changes}
    return wire.BlockReceipt(ack(None, next_seq, controls=controls, **marks), phase, **changes)


def tick(client: ClientSession) -> float:
    """Lets time pass to the next deadline."""
    now = client.next_deadline()
    assert now is not None
    client.handle_timer(now)
    return now


def next_block(client: ClientSession) -> tuple[float, ev.SendBlock]:
    """Lets time pass until a block goes out."""
    while True:
        now = tick(client)
        if blocks := of(client, ev.SendBlock):
            return now, blocks[0]


def contents(block: ev.SendBlock) -> list:
    """Numbers of chunks, names of buttons, and headers in brackets."""
    return [
        record.action
        if isinstance(record, wire.ClientControl)
        else [record[0].seq]
        if record[0].header
        else record[0].seq
        for record in split_block(block.body)
        if not isinstance(record, wire.ClientAck)
    ]


def recording(**settings) -> ClientSession:
    """In block mode by hand, four chunks captured, the server's first answer there."""
    client = opened(settings=ClientSettings(**settings))
    client.start(0.0)
    record(client, 4)
    client.use_blocks(1.0)
    now, block = next_block(client)
    assert contents(block) == ["start"]
    assert now == 1.0
    client.block_answered(block.block, receipt(), now)
    client.events()
    return client


@pytest.mark.requirement("R3")
def test_the_first_block_asks_and_the_second_brings_what_is_wanted():
    """Where the server stands is known before audio goes; then all that is held goes at once."""
    client = recording()
    assert (client.shown, client.mode) == (Shown.ERROR, Mode.BLOCK)
    now, block = next_block(client)
    assert (now, contents(block), block.after, block.new) == (1.0, [0, 1, 2, 3], 0, False)
    client.block_answered(block.block, receipt(4), now)
    assert client.held_ms == 0
    assert next_block(client)[0] == 2.0, "then once a second"


@pytest.mark.requirement("R3", "L6")
def test_buttons_go_along_before_the_chunks_behind_them():
    """A button that is pressed does not wait for the second to pass; it precedes its audio."""
    client = recording()
    now, block = next_block(client)
    client.block_answered(block.block, receipt(4), now)
    client.pause(1.2)
    client.resume(1.2)
    record(client, 1, 1.3)
    now, block = next_block(client)
    assert (now, contents(block)) == (1.2, ["pause", "resume", 4])
    client.block_answered(block.block, receipt(5, controls=3), now)
    assert client.pending_controls == ()


@pytest.mark.requirement("R1", "R3")
def test_a_block_that_fails_is_repeated_up_the_ladder_and_never_given_up():
    """1, 2, 4, 8, 16, 16, 16 s; afterwards the server is asked where it stands before audio goes again."""
    client = recording()
    waits = []
    now, block = next_block(client)
    for _ in range(8):
        client.block_failed(block.block, "refused", now)
        later, block = next_block(client)
        waits.append(later - now)
        now = later
        assert contents(block) == []
    assert waits == [1, 2, 4, 8, 16, 16, 16, 16]
    client.block_answered(block.block, receipt(2), now)
    assert contents(next_block(client)[1]) == [2, 3], "the receipt of the first was lost, its chunks were not"


def test_a_wait_that_the_server_asks_for_is_kept():
    """Retry-After stretches the ladder."""
    client = recording()
    now, block = next_block(client)
    client.block_failed(block.block, "busy", now, retry_after_s=40.0)
    assert next_block(client)[0] == now + 40.0


def test_an_answer_that_does_not_come_is_a_failure_and_counts_no_more():
    """After thirty seconds the block is taken as lost; its late receipt changes nothing."""
    client = recording()
    now, block = next_block(client)
    assert tick(client) == now + 30.0
    client.block_answered(block.block, receipt(4), now + 30.0)
    assert client.held_ms == 1000


@pytest.mark.requirement("O3")
def test_blocks_are_bounded_and_smaller_where_they_do_not_get_through():
    """By bytes; and by the server's credit, within which one chunk always goes."""
    client = opened(settings=ClientSettings(max_block_bytes=300_000))
    client.start(0.0)
    for n in range(6):
        client.send_audio(bytes(99_000), duration_ms=250, captured_ms=n, stream=0, mime="audio/pcm", now=0.0)
    client.use_blocks(0.0)
    now, block = next_block(client)
    client.block_answered(block.block, receipt(), now)
    now, block = next_block(client)
    assert contents(block) == [0, 1, 2]
    client.block_failed(block.block, "too slow", now)
    now, block = next_block(client)
    client.block_answered(block.block, receipt(), now)
    now, block = next_block(client)
    assert contents(block) == [0, 1, 2], "doubled again by the question that got through"
    little = wire.BlockReceipt(wire.ServerAck(None, 3, credit_ms=100), "recording")
    client.block_answered(block.block, little, now)
    now, block = next_block(client)
    assert contents(block) == [3]
    none = wire.BlockReceipt(wire.ServerAck(None, 4, credit_ms=0), "recording")
    client.block_answered(block.block, none, now)
    later, block = next_block(client)
    assert (contents(block), later) == ([], now + 1.0)


@pytest.mark.requirement("R3")
def test_the_link_is_tried_again_once_blocks_get_through():
    """After ten good seconds; then after twenty, while blocks go on; its first word ends them."""
    client = opened()
    client.start(0.0)
    client.link_lost("cut", 0.0)
    tries = []
    while client.mode is Mode.STREAM:
        client.handle_timer(client.next_deadline())
        client.link_lost("refused", now := client.next_deadline() or 31.0)
    client.events()
    began = client.next_deadline()
    while len(tries) < 3:
        now = tick(client)
        for event in client.events():
            if isinstance(event, ev.SendBlock):
                client.block_answered(event.block, receipt(), now)
            elif isinstance(event, ev.OpenLink):
                tries.append(now - began)
                if len(tries) < 3:
                    assert client.shown is Shown.CONNECTING
                    client.link_lost("refused", now)
                    assert (client.shown, client.mode) == (Shown.ERROR, Mode.BLOCK)
    assert tries == [10, 30, 70]
    greet(client, now, phase="recording", controls=1)
    assert (client.shown, client.mode) == (Shown.RECORDING, Mode.STREAM)
    client.link_lost("cut", now + 1.0)
    assert client.mode is Mode.BLOCK, "a link that has not proved itself brings the blocks back at once"


@pytest.mark.requirement("R2", "R3")
def test_what_was_chosen_by_hand_is_left_by_hand():
    """No attempt by itself; reconnect ends the blocks, and a late receipt is passed over."""
    client = recording()
    for _ in range(60):
        now, block = next_block(client)
        client.block_answered(block.block, receipt(4), now)
    now, block = next_block(client)
    assert of(client, ev.OpenLink) == []
    client.reconnect(now)
    assert (client.shown, client.mode) == (Shown.CONNECTING, Mode.STREAM)
    client.events()
    client.block_answered(block.block, receipt(4, events=(final(1),), last_event=1), now)
    assert client.events() == []


@pytest.mark.requirement("L1", "L5", "R3")
def test_a_session_is_completed_wholly_in_blocks():
    """From a start without any link to the summary; shown is Error, then an attempt, Completed."""
    client = ClientSession("s", "first")
    client.use_blocks(0.0)
    client.start(0.0)
    record(client, 4)
    now, block = next_block(client)
    assert (contents(block), block.new, block.token) == ([], True, "first")
    client.block_answered(block.block, receipt(phase="idle", controls=0, token="next"), now)
    now, block = next_block(client)
    assert (contents(block), block.new, block.token) == (["start", 0, 1, 2, 3], False, "next")
    client.block_answered(block.block, receipt(4), now)
    client.stop(now)
    now, block = next_block(client)
    assert contents(block) == ["stop"]
    client.block_answered(block.block, receipt(4, "finalizing", 2), now)
    now, block = next_block(client)
    client.events()
    told = (final(1), wire.SessionCompleted(SUMMARY, 2))
    client.block_answered(block.block, receipt(4, "completed", 2, events=told, last_event=2), now)
    events = client.events()
    shown = [e.shown for e in events if isinstance(e, ev.StateChanged)]
    assert list(dict.fromkeys(shown)) == [Shown.CONNECTING, Shown.COMPLETED]
    assert [type(e) for e in events if isinstance(e, ev.FinalReceived | ev.Completed)] == [
        ev.FinalReceived,
        ev.Completed,
    ]
    assert (client.link, client.summary, client.given_up) == (Link.CLOSED, SUMMARY, False)
    now, block = next_block(client)
    assert block.after == 2, "so that the server can let go of it"
    client.block_failed(block.block, "gone", now)
    assert client.given_up
    assert client.next_deadline() is None
    assert client.ledger.balanced()


def test_more_events_than_one_receipt_holds_come_with_the_next():
    """The server says which is its newest; the rest is asked for at once, and none is applied twice."""
    client = recording()
    now, block = next_block(client)
    client.block_answered(block.block, receipt(4, events=(final(1),), last_event=2), now)
    later, block = next_block(client)
    assert (later, block.after) == (now, 1)
    client.block_answered(block.block, receipt(4, events=(final(1), final(2, 1)), last_event=2), now)
    assert [message.event for message in client.finals] == [1, 2]


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("code", ["authentication", "session_unknown"])
def test_some_refusals_end_the_blocks(code):
    """A token or a session that the server does not know will not become known; a person is told."""
    client = recording()
    now, block = next_block(client)
    client.block_failed(block.block, "unknown", now, code=code)
    (error,) = of(client, ev.ErrorReceived)
    assert (error.message.code, error.message.fatal) == ("blocks_refused", True)
    assert client.given_up
    assert client.held_ms == 1000, "what is held is kept for an attempt by hand"
    client.reconnect(now)
    assert not client.given_up


def test_patience_has_an_end():
    """A server that does not answer for a day has forgotten the session."""
    client = recording(block_patience_s=100.0)
    now, block = next_block(client)
    began = now
    while not client.given_up:
        client.block_failed(block.block, "refused", now)
        now = tick(client)
        block = next(iter(of(client, ev.SendBlock)), block)
    assert now == began + 100.0


@pytest.mark.requirement("R3")
def test_a_restarted_server_gets_the_header_first():
    """A mark that went back: the recorder's first chunk, marked so, then all that is held from there on."""
    client = recording()
    now, block = next_block(client)
    client.block_answered(block.block, receipt(4, committed_seq=3, resume_seq=2), now)
    now, block = next_block(client)
    client.block_answered(block.block, receipt(2, committed_seq=3, resume_seq=2, header_seq=0), now)
    assert contents(next_block(client)[1]) == [[0], 2, 3]


def test_a_header_that_is_gone_is_said_to_be_lost():
    """So that nobody waits for it: a chunk that was too large for the protocol was never kept."""
    client = opened(limits=wire.Limits(max_chunk_bytes=5))
    client.start(0.0)
    client.send_audio(b"123456", duration_ms=250, captured_ms=0, stream=0, mime="audio/webm", now=0.0)
    record(client, 1)
    client.link_lost("cut", 0.0)
    client.handle_timer(client.next_deadline())
    greet(client, 1.0, phase="recording", controls=1, next_seq=1, header_seq=0)
    first, second = (
        wire.split_audio(frame)[0] for frame in client.data_to_send(1.0) if isinstance(frame, bytes)
    )
    assert (first.seq, first.header, first.lost, first.bytes) == (0, True, True, 0)
    assert (second.seq, second.header, second.lost) == (1, False, False)


@pytest.mark.requirement("L4")
def test_a_client_cut_off_at_the_last_moment_learns_the_outcome():
    """What is left of a finished session answers a hello with the summary, and a block with the same."""
    client = opened()
    client.start(0.0)
    client.stop(0.0)
    client.link_lost("cut", 0.0)
    client.handle_timer(1.0)
    client.link_opened(1.0)
    say(client, 1.0, wire.SessionCompleted(SUMMARY, 7))
    assert (client.shown, client.summary) == (Shown.COMPLETED, SUMMARY)
    client.link_lost("completed", 1.0, code=1000)
    assert client.given_up

    client = recording()
    client.stop(1.0)
    now, block = next_block(client)
    frame = wire.encode(wire.SessionCompleted(SUMMARY, 7))
    client.block_answered(block.block, last_receipt(frame, "completed", SUMMARY.received, 0), now)
    assert (client.shown, client.summary) == (Shown.COMPLETED, SUMMARY)
    assert client.ledger.balanced()


def test_blocks_are_over_when_the_session_is():
    """Block mode cannot be chosen any more; nor goes anything in blocks after closing."""
    client = recording()
    client.close(2.0)
    assert client.given_up
    client = opened(phase="completed")
    assert client.phase is Phase.COMPLETED
    with pytest.raises(LifecycleError):
        client.use_blocks(1.0)


@pytest.mark.requirement("S1")
@pytest.mark.parametrize(
    "body",
    [
        b"\x01",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\x7f{}",
        b"\x02\x00\x00\x00{}",
        b"\x04\x00\x00\x00null",
        encode_block([wire.ClientControl("start", 1, 0)], [])[:-1],
        wire.encode_audio(wire.AudioHeader(0, 0, 10, 0, 250, 0, 0), b"nine bytes"[:9]),
    ],
)
def test_a_record_that_cannot_be_read_is_named(body):
    """No length, one of nothing or too much, no header, and audio that is not all there."""
    whole = encode_block([wire.ClientControl("start", 1, 0)], [])
    with pytest.raises(MalformedFrameError) as caught:
        split_block(whole + body)
    assert caught.value.parameters["record"] == 1


@pytest.mark.requirement("M1", "R3")
def test_a_block_tells_the_latency_so_far():
    """As an ack over the socket does; before the first figure there is nothing to tell."""
    client = recording()
    now, block = next_block(client)
    assert not [record for record in split_block(block.body) if isinstance(record, wire.ClientAck)]
    client.block_answered(block.block, receipt(4, events=(final(1),), last_event=1), now)
    _, block = next_block(client)
    assert [record for record in split_block(block.body) if isinstance(record, wire.ClientAck)] == [
        wire.ClientAck(1, client.latency)
    ]
    assert client.latency is not None


@pytest.mark.requirement("R3", "L1")
def test_a_fatal_error_in_a_receipt_ends_the_blocks():
    """A session that failed (save failed) is asked for nothing any more, and nothing is due."""
    client = recording()
    now, block = next_block(client)
    failed = wire.ServerError("save_failed", "disk full", fatal=True, event=1)
    client.block_answered(block.block, receipt(4, "failed", events=(failed,), last_event=1), now)
    assert client.given_up
    assert client.next_deadline() is None
    assert of(client, ev.SendBlock) == []

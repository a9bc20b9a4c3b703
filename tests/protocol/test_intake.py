"""What the server takes, what it asks for again, and what becomes a hole."""

from __future__ import annotations

import binascii

import pytest
from tests.protocol.talk import talk

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire


@pytest.mark.requirement("L3")
def test_each_chunk_is_given_out_once_and_each_frame_answered():
    """A number seen before is acknowledged again and not given out again."""
    server = talk()
    for seq in (0, 1, 1, 0, 2):
        server.chunk(seq)
    assert server.given_out() == [0, 1, 2]
    acks = [ack for ack in server.got(wire.ServerAck) if ack.seq is not None]
    assert [(ack.seq, ack.next_seq) for ack in acks] == [(0, 1), (1, 2), (1, 2), (0, 2), (2, 3)]
    assert acks[-1].received == wire.Received(accepted=3, duplicate=2)


@pytest.mark.requirement("E4")
def test_a_damaged_chunk_is_asked_for_again():
    """Wrong checksum or length: rejected, named in `missing`, taken when it comes right."""
    server = talk()
    server.chunk(0, crc32=1)
    server.chunk(0, bytes=2)
    assert server.codes() == ["checksum", "frame_length"]
    ack = server.got(wire.ServerAck)[-1]
    assert (ack.seq, ack.next_seq, ack.missing) == (0, 0, (0,))
    server.chunk(0)
    assert server.given_out() == [0]
    assert server.session.received == wire.Received(accepted=1, rejected=2)


@pytest.mark.requirement("E4")
def test_a_gap_is_asked_for_and_then_a_hole():
    """Missing chunks are waited for ten seconds; then their time is kept, and the loss told once."""
    server = talk()
    server.chunk(0)
    server.chunk(3)
    assert server.got(wire.ServerAck)[-1].missing == (1, 2)
    server.say(wire.ClientPing(0))
    server.now = 6.0
    server.say(wire.ClientPing(0))
    server.at(9.9)
    assert server.given_out() == [0]
    server.at(10.0)
    assert server.given_out() == [0, (1, "not_received", 250), (2, "not_received", 250), 3]
    (error,) = server.got(wire.ServerError)
    assert (error.code, error.parameters) == ("chunk_lost", {"first": 1, "last": 2, "reason": "not_received"})
    assert error.event > 0
    counted = [n for n, said in enumerate(server.sent[1]) if getattr(said, "next_seq", 0) == 3]
    assert counted[0] < server.sent[1].index(error), "the ledger goes before what follows from it"
    ack = server.got(wire.ServerAck)[-1]
    assert (ack.next_seq, ack.missing) == (4, ()), "what waited behind the gap is acknowledged at once"
    assert server.session.received == wire.Received(accepted=2, lost=2)
    assert server.session.audio_ms == 1_000
    server.chunk(1)
    assert server.session.received.duplicate == 1


@pytest.mark.requirement("L4")
def test_a_gap_is_not_held_against_a_client_that_is_away():
    """Without a link nobody waits; on the next one the wait begins anew."""
    server = talk()
    server.chunk(1)
    server.session.link_lost(1, 1.0)
    server.at(60.0)
    server.open(wire.ClientHello("token-1", held=(0, 1), resuming=True))
    server.say(wire.ClientPing(0))
    server.at(69.0)
    assert server.given_out() == []
    server.chunk(0)
    assert server.given_out() == [0, 1]


@pytest.mark.requirement("S1", "D1")
def test_a_chunk_over_the_limit_is_lost_and_not_asked_for():
    """Over 1 MB: a hole of its own length, reported; the next chunk goes on."""
    server = talk()
    server.chunk(0)
    server.chunk(1, b"x" * 1_000_001)
    server.chunk(2)
    assert server.given_out() == [0, (1, "too_large", 250), 2]
    assert set(server.codes()) == {"chunk_too_large", "chunk_lost"}
    assert server.got(wire.ServerAck)[-1].missing == ()


def test_a_chunk_that_the_client_gave_up_is_a_hole():
    """A header marked as lost keeps the numbers whole; the client knows, so nothing is told."""
    server = talk()
    server.chunk(0)
    server.chunk(1, b"", lost=True, duration_ms=300)
    assert server.given_out() == [0, (1, "given_up", 300)]
    assert server.codes() == []
    assert server.session.received == wire.Received(accepted=1, rejected=1, lost=1)


@pytest.mark.requirement("S1", "D1")
def test_each_recorder_tells_its_format():
    """A new stream brings its type; without an accepted one its audio is a hole, reported."""
    server = talk()
    server.chunk(0)
    server.chunk(1, stream=1, mime="audio/webm;codecs=opus")
    server.chunk(2, stream=1)
    server.chunk(3, stream=0)
    server.chunk(4, stream=2)
    server.chunk(5, stream=3, mime="text/plain")
    formats = [event.format.container for event in server.events if isinstance(event, ev.ChunkAccepted)]
    assert formats == ["pcm", "webm", "webm"]
    assert [out[:2] for out in server.given_out()[3:]] == [(seq, "unreadable") for seq in (3, 4, 5)]
    assert server.codes() == ["stream_unknown", "chunk_lost"] * 3


def test_the_json_form_of_a_chunk_is_the_same_chunk():
    """A client without binary frames sends base64."""
    server = talk()
    crc32 = binascii.crc32(b"abc")
    server.say(wire.AudioText(0, 0, 3, crc32, 250, 0, 0, "audio/pcm", data=b"abc"))
    (accepted,) = [event for event in server.events if isinstance(event, ev.ChunkAccepted)]
    assert (type(accepted.header), accepted.payload) == (wire.AudioHeader, b"abc")


@pytest.mark.requirement("E4", "S4")
def test_first_offences_keep_the_link_and_ten_close_it():
    """Nine bad frames are answered; the tenth within a minute closes with 4400, and the client may return."""
    server = talk()
    for _ in range(9):
        server.session.receive_bytes(b"\x00", 0.0, 1)
    server.drain()
    assert server.session.link == 1
    server.now = 59.0
    server.session.receive_text("no JSON", 59.0, 1)
    server.drain()
    assert server.closed() == [(1, 4400)]
    assert server.codes()[-1] == "bad_frames"
    assert server.got(wire.ServerError)[-1].retryable
    assert server.session.received.rejected == 9


@pytest.mark.requirement("S1", "S4")
def test_a_frame_over_the_transports_limit_closes_for_good():
    """Two megabytes are the end of patience."""
    server = talk()
    server.session.receive_text("x" * 2_000_001, 0.0, 1)
    server.drain()
    assert server.closed() == [(1, 4413)]


@pytest.mark.requirement("S4")
def test_chunks_a_second_are_limited_but_held_audio_may_burst():
    """Over the rate: refused with a wait, asked for again; what was held in an outage comes through."""
    server = talk(limits=wire.Limits(max_chunks_per_s=2))
    for seq in range(5):
        server.chunk(seq)
    (error,) = server.got(wire.ServerError)
    assert (error.code, error.seq, error.retry_after_ms, error.retryable) == (
        "limit_chunk_rate",
        4,
        500,
        True,
    )
    assert server.got(wire.ServerAck)[-1].missing == (4,)
    server.open(wire.ClientHello("token-1", held=(0, 30), resuming=True))
    for seq in range(4, 31):
        server.chunk(seq)
    assert server.codes() == []
    assert server.session.next_seq == 31


@pytest.mark.requirement("S4", "R1")
def test_chunks_given_up_count_in_the_rate_and_an_outage_of_an_hour_may_be_told():
    """A flood of them is refused, and nothing of it kept; those that a client holds all come through."""
    server = talk()
    for seq in range(500):
        server.chunk(seq, b"", lost=True, duration_ms=0)
    assert server.session.next_seq == server.session.received.lost == 40
    assert set(server.codes()) == {"limit_chunk_rate"}
    assert len(server.session._intake._below) <= 41
    assert not server.session._intake._window._ahead
    server.open(wire.ClientHello("token-1", held=(0, 14_439), resuming=True))
    for seq in range(40, 14_440):
        server.chunk(seq, b"", lost=True, duration_ms=250)
    assert server.codes() == []
    assert server.session.received == wire.Received(rejected=14_900, lost=14_440)
    assert server.session.audio_ms == 3_600_000


@pytest.mark.requirement("O2", "O3")
def test_audio_beyond_the_credit_is_asked_for_later():
    """Credit shrinks with each chunk; far beyond it chunks are turned back, not dropped."""
    server = talk(limits=wire.Limits(credit_ms=500))
    for seq in range(30):
        server.now += 0.1
        server.chunk(seq)
    assert server.session.next_seq == 22
    assert server.got(wire.ServerAck)[-1].credit_ms == 0
    assert set(server.codes()) == {"over_credit"}
    server.session.set_credit(10_000)
    server.drain()
    opened = server.got(wire.ServerAck)[-1]
    assert (opened.seq, opened.credit_ms, opened.missing[0]) == (None, 10_000, 22)


def test_marks_move_forward_only_and_are_told_without_a_chunk():
    """Commit marks reach the client in silence too."""
    server = talk()
    for seq in range(3):
        server.chunk(seq)
    server.session.commit(2, 1)
    server.drain()
    ack = server.got(wire.ServerAck)[-1]
    assert (ack.seq, ack.committed_seq, ack.resume_seq) == (None, 2, 1)
    server.session.commit(1, 99)
    assert (server.session.committed_seq, server.session.resume_seq) == (2, 3)


@pytest.mark.requirement("O3", "S4")
@pytest.mark.parametrize(("mime", "least_ms"), [("audio/pcm;rate=16000", 31_250), ("audio/webm", 2_604)])
def test_a_chunk_counts_for_no_less_than_its_bytes_must_hold(mime, least_ms):
    """Whoever understates durations fills the credit all the same, and no memory."""
    server = talk()
    server.chunk(0, payload=bytes(1_000_000), mime=mime, duration_ms=0)
    assert server.session.audio_ms == least_ms
    assert server.session.credit_ms == 120_000 - least_ms


@pytest.mark.requirement("O3", "E2", "E4")
def test_a_recorder_without_its_beginning_is_told_once_and_its_chunks_in_runs():
    """Thousands of chunks that cannot be read, of no length even, make few events, and exact runs."""
    server = talk()
    server.chunk(0)
    for seq in range(1, 2_000):
        server.at(seq / 10)
        server.say(wire.ClientPing(0))
        server.chunk(seq, stream=1, duration_ms=0)
    server.say(wire.ClientControl("stop", 2, 2_000))
    assert server.session.received.lost == 1_999
    codes = server.codes()
    assert codes.count("stream_unknown") == 1
    assert codes.count("chunk_lost") <= 40
    runs = [m.parameters for m in server.got(wire.ServerError) if m.code == "chunk_lost"]
    assert [run["first"] for run in runs[1:]] == [run["last"] + 1 for run in runs[:-1]]
    assert (runs[0]["first"], runs[-1]["last"]) == (1, 1_999)


@pytest.mark.requirement("S1")
def test_the_last_recorder_number_leaves_one_for_the_next():
    """A recorder's number so high that the next could not be told is refused; the highest one is not."""
    server = talk()
    server.chunk(0, stream=2**31 - 1, mime="audio/pcm")
    assert server.codes() == ["frame_malformed"]
    server.chunk(0, stream=2**31 - 2, mime="audio/pcm")
    server.open(wire.ClientHello("token-0", resuming=True))
    assert server.got(wire.Status)[0].sync.next_stream == 2**31 - 1

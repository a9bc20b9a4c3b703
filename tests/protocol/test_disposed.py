"""What a session's new server need not hear again, where its client has not got it any more."""

from __future__ import annotations

import binascii

import msgspec
import pytest
from tests.protocol.talk import Talk

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import encode_block
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.protocol.server_state import IntakeState, ProtocolState

WEBM = "audio/webm;codecs=opus"


def below(**changes) -> IntakeState:
    """Four chunks, of a quarter of a second each, that even a fresh decoder does not need."""
    fields = {"next_seq": 4, "received": wire.Received(accepted=4), "audio_ms": 1_000, "captured_ms": 1_000}
    return IntakeState(**(fields | {"stream": 0, "mime": "audio/pcm"} | changes))


def restarted(**changes) -> Talk:
    """A server that was killed: of the audio that it wants again, three chunks are disposed of."""
    fields = {"phase": Phase.RECORDING, "controls": 1, "committed_seq": 7, "intake": below()}
    return Talk(restored=ProtocolState((token_hash("token-0"),), **(fields | {"disposed_ms": 750} | changes)))


def posted(server: Talk, *seqs: int, controls=()) -> wire.BlockReceipt:
    """A block of these chunks, of a page that was loaded again: of the second recorder."""
    header = wire.AudioHeader(0, 1, 3, binascii.crc32(b"abc"), 250, 0, 0, "audio/pcm")
    headers = [msgspec.structs.replace(header, seq=seq, captured_ms=250 * (seq - 7)) for seq in seqs]
    frames = [wire.encode_audio(each, b"abc") for each in headers]
    body = encode_block(controls, frames)
    receipt = server.session.receive_block(body, server.now, token="token-0", after=0)
    server.drain()
    return receipt


DISPOSED = [(4, "disposed", 250), (5, "disposed", 250), (6, "disposed", 250)]


@pytest.mark.requirement("R1", "R3", "L4")
def test_the_same_recorder_goes_on_with_its_header():
    """Behind a power cut the client lacks what it let go of; what follows that needs the header."""
    server = restarted(intake=below(mime=WEBM), header_seq=0)
    server.open(wire.ClientHello("token-0", resuming=True, held=(6, 9)))
    for seq in range(6, 10):
        server.chunk(seq, mime=WEBM if seq == 6 else None)
    assert server.given_out() == [(4, "disposed", 250), (5, "disposed", 250)]
    assert server.got(wire.ServerAck)[-1].missing == (0,)
    server.chunk(0, b"header", mime=WEBM, header=True)
    accepted = [event for event in server.events if isinstance(event, ev.ChunkAccepted)]
    assert [event.header.seq for event in accepted] == [6, 7, 8, 9]
    assert accepted[0].first_payload == b"header"
    assert server.codes() == []


@pytest.mark.requirement("R1", "L4")
@pytest.mark.parametrize("held", [(7, 9), None])
def test_what_nobody_holds_is_not_waited_for(held):
    """A page loaded again has nothing of it: the greeting says so, and live audio is given out at once."""
    server = restarted()
    server.open(wire.ClientHello("token-0", resuming=True, held=held))
    (greeting,) = server.got(wire.Status)
    assert (greeting.sync.next_seq, greeting.sync.audio_ms) == (7, 1_750)
    assert greeting.sync.received == wire.Received(accepted=7)
    server.chunk(7, stream=1, mime="audio/pcm", captured_ms=0)
    assert server.given_out() == [*DISPOSED, 7]


@pytest.mark.requirement("R1", "L4")
@pytest.mark.parametrize("hello", [{"held": (4, 9)}, {"held": (2, 9)}])
def test_what_is_held_comes_again(hello):
    """A client that has all of it brings it: a decoder hears the new words in the context of the old ones."""
    server = restarted()
    server.open(wire.ClientHello("token-0", resuming=True, **hello))
    assert server.got(wire.Status)[0].sync.next_seq == 4
    for seq in range(4, 10):
        server.chunk(seq, mime="audio/pcm")
    assert server.given_out() == [4, 5, 6, 7, 8, 9]


@pytest.mark.requirement("R1", "L4")
def test_what_went_with_the_page_is_lost_at_once():
    """Nobody holds what the page had and the server had not disposed of: a hole of its length, and told."""
    server = restarted(committed_seq=5, disposed_ms=250)
    server.open(wire.ClientHello("token-0", resuming=True, held=(7, 9)))
    assert server.given_out() == [(4, "disposed", 250)]
    server.chunk(7, stream=1, mime="audio/pcm", captured_ms=1_750)
    server.at(server.session.next_deadline())
    assert server.now == 0.0
    assert server.given_out() == [(4, "disposed", 250), (5, "not_received", 250), (6, "not_received", 250), 7]
    assert server.codes() == ["chunk_lost"]


@pytest.mark.requirement("R1", "L4", "L6")
def test_buttons_in_what_is_passed_over_take_effect():
    """A pause between disposed chunks, whose link broke before them, is told by the log alone, once."""
    server = restarted()
    server.open(wire.ClientHello("token-0", resuming=True, held=(4, 9)))
    server.say(wire.ClientControl("pause", 2, 6))
    server.session.link_lost(server.link, server.now)
    server.open(wire.ClientHello("token-1", resuming=True, held=(7, 9)))
    assert server.session.phase is Phase.PAUSED
    greeting, told = server.got(wire.Status)
    assert (greeting.phase, greeting.controls, greeting.event) == ("paused", 2, 0)
    assert (told.state, told.event) == ("paused", 1)


@pytest.mark.requirement("R1", "R3", "L4")
def test_blocks_go_on_behind_what_nobody_holds():
    """Once its client was told what is wanted, a block that begins behind it says what is not held."""
    server = restarted()
    assert posted(server, 7, 8).ack.next_seq == 4, "it may not know yet that its server is another one"
    receipt = posted(server, 7, 8, 9)
    assert (receipt.ack.next_seq, receipt.ack.missing) == (10, ())
    assert server.given_out() == [*DISPOSED, 7, 8, 9]


@pytest.mark.requirement("R1", "R3", "L4")
def test_blocks_lose_what_went_with_the_page():
    """What is not disposed of is asked for as long as over a link; then it is a hole."""
    server = restarted(committed_seq=5, disposed_ms=250)
    posted(server)
    for server.now in range(10):
        assert posted(server, 7, 8).ack.next_seq == 5
    server.now = 10.0
    assert posted(server, 7, 8).ack.next_seq == 9
    kinds = [outcome if isinstance(outcome, int) else outcome[1] for outcome in server.given_out()]
    assert kinds == ["disposed", "not_received", "not_received", 7, 8]
    server.now = 11.0
    post = posted(server, 9, 11)
    assert (post.ack.next_seq, post.ack.missing) == (10, (10,))
    server.now = 60.0
    assert posted(server, 10).ack.next_seq == 12, "what comes after all is no loss"


@pytest.mark.requirement("R1", "R3", "L4", "L6")
def test_a_button_in_blocks_waits_for_its_audio_while_somebody_could_send_it():
    """After 30 s with its client there it is applied all the same; a day without blocks does not count."""
    server = restarted()
    posted(server, controls=[wire.ClientControl("stop", 2, 9)])
    server.now = 86_400.0
    posted(server)
    for server.now in range(86_401, 86_420):
        posted(server)
        assert server.session.phase is Phase.RECORDING
    server.now = 86_420.0
    posted(server)
    assert server.session.phase is Phase.FINALIZING
    assert server.given_out() == DISPOSED


@pytest.mark.requirement("R1", "R3", "L4", "L6")
def test_a_button_in_blocks_does_not_wait_for_ever_for_one_that_comes_rarely():
    """Of each pause between two blocks only what is longer than a silence counts as nobody being there."""
    server = restarted()
    posted(server, controls=[wire.ClientControl("stop", 2, 9)])
    for server.now in range(0, 99, 11):
        posted(server)
    assert server.session.phase is Phase.FINALIZING
    assert server.given_out() == DISPOSED

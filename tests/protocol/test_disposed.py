"""What a session's new server need not hear again, where its client has not got it any more."""

from __future__ import annotations

import pytest
from tests.protocol.talk import Talk

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.protocol.server_state import IntakeState, ProtocolState

WEBM = "audio/webm;codecs=opus"


@pytest.mark.requirement("R1", "R3", "L4")
def test_the_same_recorder_goes_on_with_its_header():
    """Behind a power cut the client lacks what it let go of; what follows that needs the header."""
    below = IntakeState(
        next_seq=4, received=wire.Received(accepted=4), audio_ms=1_000, captured_ms=1_000, stream=0, mime=WEBM
    )
    server = Talk(
        restored=ProtocolState(
            (token_hash("token-0"),),
            phase=Phase.RECORDING,
            controls=1,
            committed_seq=7,
            intake=below,
            header_seq=0,
            disposed_ms=750,
        )
    )
    server.open(wire.ClientHello("token-0", resuming=True, held=(6, 9)))
    for seq in range(6, 10):
        server.chunk(seq, mime=WEBM if seq == 6 else None)
    server.now = 5.0
    server.say(wire.ClientPing(0))
    server.at(10.1)
    assert server.given_out() == [(4, "disposed", 250), (5, "disposed", 250)]
    assert server.got(wire.ServerAck)[-1].missing == (0,)
    server.chunk(0, b"header", mime=WEBM, header=True)
    accepted = [event for event in server.events if isinstance(event, ev.ChunkAccepted)]
    assert [event.header.seq for event in accepted] == [6, 7, 8, 9]
    assert accepted[0].first_payload == b"header"
    assert server.codes() == []

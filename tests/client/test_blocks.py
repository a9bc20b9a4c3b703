"""Block mode over real sockets: HTTP gets through where no WebSocket does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from tests.client.actions import after, once
from tests.client.upgrades import NoUpgrades

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import pcm_chunks, real_time
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, FinalReceived, SendBlock, StateChanged
from rtstt_lab.protocol.lifecycle import Link, Mode, Shown
from rtstt_lab.types import Samples

LAST = 44
"""Chunk of the clip."""
QUICK = ClientSettings(backoff_s=(0.1, 0.2), block_s=0.3, block_stable_s=1.0)
WORDS = "welcome to the laboratory for real time speech recognition while a person speaks the microphone"


def check_whole(result: SessionResult) -> None:
    """Nothing is lost or decoded twice, and the transcript is in order, on both sides."""
    assert result.error is None
    assert result.ledger.balanced()
    assert result.ledger.captured == result.ledger.accepted
    assert result.ledger.lost == result.ledger.held == 0
    assert (result.tables["chunks"]["fate"] == "accepted").all()
    starts = [final.words[0].start_s for final in result.finals]
    assert starts == sorted(starts)
    assert normalizer("en")(result.text).startswith(WORDS)
    assert all(one.end_s <= other.start_s + 0.01 for one, other in pairwise(result.words))
    assert result.summary is not None
    assert result.summary.complete
    assert all(final.text in Path(result.summary.file).read_text("utf-8") for final in result.finals)


@pytest.mark.requirement("R3", "L4", "D3")
async def test_a_session_that_never_gets_a_websocket_is_recognised_in_blocks(
    server: LocalServer, clip: Samples
) -> None:
    """Error and block mode are shown, audio goes by HTTP while somebody speaks, and all is saved."""
    states: list[StateChanged] = []
    finals: list[float] = []
    stopped: list[float] = []

    def observe(now: float, event: ClientEvent) -> None:
        if isinstance(event, StateChanged):
            states.append(event)
            stopped.extend([now] if event.phase == "finalizing" else [])
        elif isinstance(event, FinalReceived):
            finals.append(now)

    async with NoUpgrades(server.port) as proxy:
        streaming = StreamingClient(
            proxy.url, token=server.token, language="en", settings=QUICK, observers=[observe]
        )
        result = await streaming.run(once(real_time(pcm_chunks(clip)), {LAST: lambda: finals}))
    check_whole(result)
    assert proxy.refused >= len(QUICK.backoff_s) + 1
    assert {(Shown.ERROR, Mode.BLOCK)} <= {(state.shown, state.mode) for state in states}
    assert [state.shown for state in states][-2:] == [Shown.COMPLETED, Shown.COMPLETED]
    assert Shown.CONNECTED not in [state.shown for state in states]
    assert finals[0] < stopped[0], "text comes while it goes on"
    assert result.model == "tiny.en"
    assert result.summary is not None
    assert result.summary.latency is not None, "the server knows what the client measured"


@pytest.mark.requirement("R2", "R3")
async def test_a_person_leaves_the_stream_and_comes_back(server: LocalServer, clip: Samples) -> None:
    """To blocks by hand in the middle of speech, and to the stream by hand again: one transcript, whole."""
    blocks: list[SendBlock] = []

    def sent() -> bool:
        return sum(len(block.body) for block in blocks) > 2 * 250 * 32

    def observe(now: float, event: ClientEvent) -> None:
        if isinstance(event, SendBlock):
            blocks.append(event)

    streaming = StreamingClient(
        server.url, token=server.token, language="en", settings=QUICK, observers=[observe]
    )
    chunks = once(real_time(pcm_chunks(clip)), {24: sent, LAST: lambda: streaming.session.link is Link.OPEN})
    result = await streaming.run(after(chunks, {12: streaming.use_blocks, 24: streaming.reconnect}))
    check_whole(result)
    assert sent()
    assert streaming.session.mode is Mode.STREAM


@pytest.mark.requirement("R3")
async def test_the_stream_is_taken_up_again_when_it_is_there_again(
    server: LocalServer, clip: Samples
) -> None:
    """Blocks that get through for a while are followed by a new attempt, without a person's doing."""
    states: list[StateChanged] = []

    async with NoUpgrades(server.port) as proxy:

        def observe(now: float, event: ClientEvent) -> None:
            if isinstance(event, StateChanged):
                states.append(event)
            elif isinstance(event, SendBlock) and event.block == 4:
                proxy.refusing = False

        streaming = StreamingClient(
            proxy.url, token=server.token, language="en", settings=QUICK, observers=[observe]
        )
        back = {LAST: lambda: Shown.RECORDING in [state.shown for state in states]}
        result = await streaming.run(once(real_time(pcm_chunks(clip)), back))
    check_whole(result)
    modes = [state.mode for state in states]
    assert modes.index(Mode.BLOCK) < len(modes) - 1 - modes[::-1].index(Mode.STREAM)
    assert Shown.RECORDING in [state.shown for state in states]

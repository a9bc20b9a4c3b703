"""Two sessions against each other, over links that delay, cut, fall silent, damage, drop and repeat."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.protocol.edges import EDGES

from make_traces import MIME, Walker, trace
from protocol_world import World
from rtstt_lab.protocol.client import ClientSettings
from rtstt_lab.protocol.events import ChunksLost, ErrorReceived, StateChanged
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import Limits, Received


def check_always(world: World) -> None:
    """What holds at every moment."""
    numbers = [seq for seq, _ in world.delivered]
    assert numbers == list(range(len(numbers))), "chunks are given out in order, each once"
    texts = [final.text for final in world.client.finals]
    assert texts == world.finals_sent[: len(texts)], "finals applied are a prefix of finals sent"
    ledger = world.client.ledger
    ledger = replace(ledger, transmitted=ledger.transmitted + world.injected, cut=ledger.cut + world.injected)
    assert ledger.balanced(), ledger
    assert ledger.captured == len(world.captured_payloads)
    received = world.server.received
    assert received.accepted + received.lost == world.server.next_seq == len(numbers)
    assert [n for _, n, _, _ in world.controls] == sorted({n for _, n, _, _ in world.controls})
    assert all(at_seq == given_out for _, _, at_seq, given_out in world.controls), world.controls
    shown = ["connecting", *(e.shown.value for e in world.events if isinstance(e, StateChanged))]
    steps = {(here, there) for here, there in pairwise(shown) if here != there}
    assert steps <= EDGES, steps - EDGES


def check_at_the_end(world: World) -> None:
    """What holds once all has arrived that could."""
    ledger = world.client.ledger
    received = world.server.received
    assert ledger.held == 0
    assert (ledger.accepted, ledger.duplicate, ledger.rejected) == (
        received.accepted,
        received.duplicate,
        received.rejected,
    )
    assert [final.text for final in world.client.finals] == world.finals_sent
    lost = {
        n
        for event in world.events
        if isinstance(event, ChunksLost)
        for n in range(event.first, event.last + 1)
    }
    holes = {seq for seq, what in world.delivered if what != "audio"}
    assert holes <= lost, "every loss was said out loud"
    assert lost == holes or world.restarts, "and none that is none, if no restart gave it another chance"
    assert ledger.lost == len(holes)


@settings(
    deadline=None,
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
class Conversation(RuleBasedStateMachine):
    """A person, a recorder, a recognizer and bad luck, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.in_blocks = False

    @initialize(
        in_blocks=st.booleans(),
        in_flight=st.sampled_from([2, 64]),
        credit_ms=st.sampled_from([500, 120_000]),
        buffer=st.sampled_from([300, 2**27]),
    )
    def begin(self, in_blocks, in_flight, credit_ms, buffer):
        self.in_blocks = in_blocks
        client = ClientSettings(max_in_flight=in_flight, max_buffer_bytes=buffer)
        self.world = World(client, Limits(credit_ms=credit_ms))
        self.world.call("connect")
        self.world.call("start")

    @precondition(lambda self: self.world.client.phase in (Phase.RECORDING, Phase.PAUSED))
    @rule(count=st.integers(1, 6), size=st.integers(1, 60), pace_s=st.sampled_from([0.0, 0.25]))
    def record(self, count, size, pace_s):
        for _ in range(count):
            first = not self.world.captured_payloads
            payload = bytes([len(self.world.captured_payloads) % 256]) * size
            if self.world.client.phase in (Phase.RECORDING, Phase.PAUSED):
                self.world.capture(payload, mime=MIME if first else None)
            self.world.advance(pace_s)

    @rule(duration_s=st.sampled_from([0.05, 0.5, 3.0, 12.0]))
    def wait(self, duration_s):
        self.world.advance(duration_s)

    @rule(final=st.booleans(), commit=st.booleans())
    def recognise(self, final, commit):
        self.world.recognise(final=final, commit=commit)

    @rule(up=st.integers(0, 5), down=st.integers(0, 5), server_hears=st.booleans())
    def cut(self, up, down, server_hears):
        self.world.cut(up, down, server_hears=server_hears)

    @rule()
    def restart(self):
        self.world.restart()

    @rule(delay_s=st.sampled_from([0.0, 0.05, 1.0]))
    def delay(self, delay_s):
        self.world.delay_s = delay_s

    @rule(reachable=st.booleans(), answering=st.booleans())
    def reach(self, reachable, answering):
        self.world.reachable, self.world.answering = reachable, answering

    @rule(fault=st.sampled_from(["go_silent", "damage", "drop", "repeat"]))
    def fault(self, fault):
        getattr(self.world, fault)()

    @rule(posting=st.sampled_from(["answered", "refused", "busy", "forgotten", "unanswered"]))
    def post(self, posting):
        self.world.posting = posting

    @rule(button=st.sampled_from(["start", "pause", "resume", "flush", "reconnect", "use_blocks"]))
    def press(self, button):
        self.world.call(button)

    @rule()
    def stop(self):
        self.world.call("stop")

    @rule()
    def save(self):
        self.world.finish()

    @invariant()
    def holds(self):
        check_always(self.world)

    def teardown(self):
        self.world.settle(in_blocks=self.in_blocks)
        check_always(self.world)
        assert self.world.quiet(), (self.world.client.shown, self.world.client.ledger)
        check_at_the_end(self.world)


@pytest.mark.requirement("L1", "L3", "L4", "L5", "L6", "E1", "E4", "R1")
class TestConversation(Conversation.TestCase):
    """Nothing is lost unsaid, repeated or out of order; ledgers balance; buttons act at their place."""


@pytest.mark.requirement("L4", "E4")
def test_random_lives():
    """The walks that the browser's twin replays hold what the stateful test holds."""
    endings = set()
    for seed in range(120):
        world = Walker(seed).walk()
        check_always(world)
        endings.add(world.client.shown.value)
        if world.client.summary is not None:
            check_at_the_end(world)
    assert {"completed", "error", "recording"} <= endings


def test_a_trace_is_the_same_each_time():
    """The same seed gives the same trace, so a difference in the twin is the twin's."""
    assert trace(11) == trace(11)
    assert {"call", "args", "now", "returns", "raises", "events", "data", "deadline", "state"} == set(
        trace(11)["steps"][0]
    )


@pytest.mark.requirement("L4", "S4")
@pytest.mark.parametrize("begun", [True, False])
def test_what_an_outage_cost_is_told_at_once(begun):
    """Five minutes, also before the first answer: what follows does not wait behind 1200 losses."""
    world = World(ClientSettings(max_buffer_bytes=1_000))
    world.call("start")
    if begun:
        world.call("connect")
        world.advance(0.1)
        world.cut()
    world.reachable = False
    for seq in range(1_220):
        world.capture(bytes(50), mime=None if seq else MIME)
    world.reachable = True
    world.call("reconnect")
    world.advance(0.5)
    world.capture(bytes(50))
    world.advance(2.5)
    assert world.server.received == Received(accepted=21, rejected=1_200, lost=1_200)
    assert not any(isinstance(event, ErrorReceived) for event in world.events)
    check_always(world)

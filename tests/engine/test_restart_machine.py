"""A session whose server dies, or is left alone, at any moment: nothing is lost, changed or said twice."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.engine.scripted import WORD_S
from tests.engine.world import World

from rtstt_lab.engine import EngineSettings
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.events import FinalReceived, PartialReceived
from rtstt_lab.protocol.lifecycle import TERMINAL, Link, Phase

CHUNK_MS = round(1000 * WORD_S)


class RestartMachine(RuleBasedStateMachine):
    """A person speaks a word in every half second; servers come and go behind one journal."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            settings=EngineSettings(feed_ahead_s=2.0, context_s=1.0),
            limits=wire.Limits(credit_ms=6_000, max_reconnections_per_h=10_000),
            decode_s=0.3,
        )
        self.chunks = 0
        self.promised: list[str] = []
        self.seen = 0
        self.world.start()

    @rule(chunks=st.integers(1, 8))
    @precondition(lambda self: self.world.client.phase is Phase.RECORDING)
    def speak(self, chunks: int) -> None:
        """Words in real time."""
        for _ in range(chunks):
            if self.world.client.phase is Phase.RECORDING:
                self.world.speak(CHUNK_MS)
                self.chunks += 1

    @rule(action=st.sampled_from(["pause", "resume", "flush"]))
    @precondition(lambda self: self.world.client.phase in (Phase.RECORDING, Phase.PAUSED))
    def press(self, action: str) -> None:
        self.world.control(action)

    @rule()
    @precondition(lambda self: self.chunks > 15 and self.world.client.phase is Phase.RECORDING)
    def stop(self) -> None:
        self.world.control("stop")

    @rule(decode_s=st.sampled_from([0.0, 0.3, 1.5]))
    def be_slow(self, decode_s: float) -> None:
        self.world.decode_s = decode_s

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def cut(self) -> None:
        self.world.cut()

    @rule()
    @precondition(lambda self: self.world.serving)
    def kill(self) -> None:
        self.world.kill()

    @rule(effects=st.integers(0, 12))
    @precondition(lambda self: self.world.serving)
    def kill_in_the_middle_of_it(self, effects: int) -> None:
        """So many effects later, whatever they are: before, between or after two records."""
        self.world.dies_after = effects

    @rule()
    @precondition(lambda self: self.world.serving)
    def leave_alone(self) -> None:
        """Nobody reaches the server for longer than it waits."""
        self.world.reachable = False
        self.world.cut()
        self.world.pass_time(130)
        self.world.reachable = True
        self.reconnect()

    @rule()
    @precondition(lambda self: self.world.client.link is Link.CLOSED)
    def reconnect(self) -> None:
        if self.world.client.phase not in TERMINAL and self.world.client.link is Link.CLOSED:
            self.world.client.reconnect(self.world.now)
            self.world.pump()

    @rule()
    @precondition(lambda self: self.world.serving)
    def fill_the_disk(self) -> None:
        server, before = self.world.session, self.world.session.committed_seq
        self.world.engine.journal_failed(self.world.now)
        if self.world.client.phase is Phase.RECORDING:
            self.speak(4)
        assert server.committed_seq == before
        if self.world.serving:
            self.world.engine.journal_restored(self.world.now)
            self.world.pump()

    @invariant()
    def ledgers_balance(self) -> None:
        ledger = self.world.client.ledger
        assert ledger.balanced(), ledger
        assert ledger.captured == self.chunks
        assert ledger.lost == 0

    @invariant()
    def what_is_promised_stays(self) -> None:
        """Committed words as the client was told them: each view continues the one before."""
        finals: list[str] = []
        for event in self.world.events:
            match event:
                case FinalReceived(message=message):
                    finals += [word.text for word in message.words]
                    told = finals
                case PartialReceived(message=message):
                    told = finals + [word.text for word in message.words[: message.committed]]
                case _:
                    continue
            size = min(len(told), len(self.promised))
            assert told[:size] == self.promised[:size]
            self.promised = max(told, self.promised, key=len)
        assert self.promised == [f" w{i}" for i in range(len(self.promised))]

    @invariant()
    def marks_stay_behind_the_journal(self) -> None:
        """The client frees nothing that the journal does not cover."""
        bounds = self.world.client._audio.bounds
        mark = self.world.state().mark
        if bounds is not None and self.world.client.phase not in TERMINAL:
            assert bounds[0] <= min(mark.committed_seq, mark.resume_seq)

    def teardown(self) -> None:
        """Left alone with a server that stays, every session is saved with every word, once."""
        world = self.world
        world.dies_after = None
        world.pass_time(60)
        self.reconnect()
        world.pass_time(60)
        if world.client.phase in (Phase.RECORDING, Phase.PAUSED):
            world.control("stop")
        world.pass_time(60)
        self.ledgers_balance()
        self.what_is_promised_stays()
        words = [f" w{i}" for i in range(self.chunks)]
        assert world.client.phase is Phase.COMPLETED, (world.client.shown, world.errors()[-3:])
        assert [word.text for word in world.saved[-1].words] == words
        assert [word.text for final in world.client.finals for word in final.words] == words
        assert world.saved[-1].complete
        assert world.client.ledger.held == 0


TestRestartMachine = pytest.mark.requirement("E4", "L4", "R1")(RestartMachine.TestCase)
TestRestartMachine.settings = settings(
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)

"""The engine under everything at once: chunks, buttons, cuts, failures, timers, answers in any delay."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.engine.scripted import ScriptedWorker
from tests.engine.world import World

from rtstt_lab.engine import EngineSettings, Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import TERMINAL, Phase

CREDIT_MS = 6_000
OVERDRAFT_MS = 5_000
LONGEST_MS = 1_000


class EngineMachine(RuleBasedStateMachine):
    """A client that may do anything it is allowed to, an executor that answers when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            ScriptedWorker(),
            settings=EngineSettings(feed_ahead_s=2.0),
            limits=wire.Limits(credit_ms=CREDIT_MS, max_session_s=60),
            answer_at_once=False,
        )
        self.sent: dict[int, int] = {}
        self.deleted = False
        self.last_marks = (0, 0)
        self.world.start()

    @property
    def recording(self) -> bool:
        return self.world.client.phase is Phase.RECORDING

    @rule(duration_ms=st.sampled_from([100, 250, 500, LONGEST_MS]))
    @precondition(lambda self: self.recording)
    def speak(self, duration_ms: int) -> None:
        seq = self.world.speak(duration_ms, real_time=False)
        self.sent[seq] = duration_ms

    @rule(chunks=st.integers(5, 15))
    @precondition(lambda self: self.recording)
    def speak_at_length(self, chunks: int) -> None:
        for _ in range(chunks):
            self.speak(LONGEST_MS)

    @rule(action=st.sampled_from(["pause", "resume", "flush"]))
    @precondition(lambda self: self.world.client.phase in (Phase.RECORDING, Phase.PAUSED))
    def press(self, action: str) -> None:
        self.world.control(action)

    @rule(times=st.integers(1, 6))
    def answer(self, times: int) -> None:
        for _ in range(times):
            if self.world.owed:
                self.world.answer()
                self.world.pump()

    @rule(seconds=st.sampled_from([0.1, 0.7, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def cut(self) -> None:
        self.world.cut()

    @rule(seq=st.integers(0, 30), kind=st.sampled_from(["bad", "flaky"]))
    def spoil(self, seq: int, kind: str) -> None:
        if seq not in self.world.worker.fed:
            getattr(self.world.worker, kind).add(seq)

    @rule(times=st.integers(1, 2))
    def fail_recognition(self, times: int) -> None:
        self.world.worker.failures = times

    @rule(left_mb=st.sampled_from([4_000.0, 800.0]))
    def look_at_memory(self, left_mb: float) -> None:
        self.world.engine.resources(fx.ResourceSample(1.0, 1.0, 100.0, left_mb), self.world.now)
        self.world.pump()

    @rule()
    @precondition(lambda self: len(self.sent) > 8)
    def exhaust_memory(self) -> None:
        self.world.engine.resources(fx.ResourceSample(1.0, 1.0, 100.0, 100.0), self.world.now)
        self.world.pump()

    @rule()
    @precondition(lambda self: len(self.sent) > 12)
    def delete(self) -> None:
        self.deleted = True
        self.world.engine.abort(self.world.now)
        self.world.pump()

    @rule()
    def answer_to_nothing(self) -> None:
        """Answers that nobody waits for change nothing."""
        world = self.world
        world.engine.recognised(10**6, fx.RecognitionReport((), 0, 0.0, world.worker.hearing()), world.now)
        if world.stage is not Stage.SAVING:
            world.engine.saved("nothing", world.now)
            world.engine.save_failed(AudioDecodeError("audio_payload", reason="nothing"), world.now)
        world.engine.audio_failed(10**6, AudioDecodeError("audio_payload", reason="nothing"), world.now)
        world.pump()

    @invariant()
    def queue_is_bounded(self) -> None:
        assert self.world.engine.status().waiting_s * 1000 <= CREDIT_MS + OVERDRAFT_MS + LONGEST_MS

    @invariant()
    def feeds_come_in_order_and_none_twice(self) -> None:
        assert self.world.worker.fed == list(range(len(self.world.worker.fed)))

    @invariant()
    def one_feed_and_one_job_at_a_time(self) -> None:
        owed = [effect for _, effect in self.world.owed]
        if self.world.stage in (Stage.OPEN, Stage.FINISHING):
            assert sum(isinstance(effect, fx.Recognise) for effect in owed) <= 1
            feeds = sum(isinstance(effect, fx.FeedAudio | fx.FeedHole) for effect in owed)
            settling = any(isinstance(e, fx.Recognise) and e.kind in ("settle", "finish") for e in owed)
            assert feeds <= (0 if settling else 1)

    @invariant()
    def marks_grow_and_stay_behind_what_is_settled(self) -> None:
        session, worker = self.world.session, self.world.worker
        marks = session.committed_seq, session.resume_seq
        assert marks >= self.last_marks
        assert marks[0] >= self.last_marks[0]
        assert marks[1] >= self.last_marks[1]
        self.last_marks = marks
        committed_s = sum(self.sent.get(seq, 0) for seq in range(session.committed_seq)) / 1000
        assert committed_s <= worker.hearing().settled_s + 1e-3
        assert session.committed_seq <= len(worker.fed)
        assert session.resume_seq <= session.committed_seq

    @invariant()
    def saved_at_most_once_and_released_last(self) -> None:
        effects = self.world.effects
        assert sum(isinstance(effect, fx.SaveTranscript) for effect in effects) <= 1
        releases = [index for index, effect in enumerate(effects) if isinstance(effect, fx.Release)]
        assert releases in ([], [len(effects) - 1])
        assert (self.world.stage is Stage.RELEASED) == bool(releases)

    def teardown(self) -> None:
        """Left alone with its client, every session ends: saved once, released, its losses told."""
        world = self.world
        world.answer_at_once = True
        world.pass_time(40)
        if world.client.phase not in TERMINAL and world.stage is Stage.OPEN:
            world.control("stop")
        world.pass_time(400)
        assert world.stage is Stage.RELEASED
        self.saved_at_most_once_and_released_last()
        if self.deleted:
            return
        if self.sent:
            assert len(world.saved) == 1
        if world.saved and world.saved[0].complete:
            # What is beyond the session's greatest length is no part of it.
            fed = world.worker.fed
            assert len(fed) == len(self.sent) or "session_length" in world.errors()
            assert round(world.saved[0].duration_s * 1000) == sum(self.sent[seq] for seq in fed)
            words = [word.text for word in world.saved[0].words]
            assert len(words) == len(set(words))


TestEngineMachine = pytest.mark.requirement("D2", "E2", "E3", "L5", "O3")(EngineMachine.TestCase)
TestEngineMachine.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)

"""The threads behind the sessions: order within one, fairness among all."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.engine.effects import FeedHole, Recognise
from rtstt_lab.engine.patience import Patience
from rtstt_lab.server.executor import Executor, FairTurns, Lane


@pytest.mark.requirement("O4")
@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 5), st.integers(1, 9), min_size=2), st.integers(20, 60))
def test_turns_share_the_decoder_evenly(costs, rounds):
    """Sessions that always want a decode have had the same time, to within one turn of the dearest."""
    turns: FairTurns[int] = FairTurns()
    had = dict.fromkeys(costs, 0)
    for _ in range(rounds):
        for who in costs:
            turns.ask(who)
        who = turns.take()
        had[who] += costs[who]
        turns.used(who, costs[who])
    assert max(had.values()) - min(had.values()) <= max(costs.values())


@pytest.mark.requirement("O4")
def test_absence_earns_no_credit():
    """One that comes late takes turns with the others and doesn't catch up first."""
    turns: FairTurns[str] = FairTurns()
    for _ in range(100):
        turns.ask("early")
        turns.used(turns.take(), 1)
    order = []
    for _ in range(6):
        turns.ask("early")
        turns.ask("late")
        order.append(turns.take())
        turns.used(order[-1], 1)
    assert order.count("late") <= 4
    turns.forget("late")
    assert turns.take() in {"early", None}


class Worker:
    """Notes what it is asked for, and what runs at the same time."""

    def __init__(self, fail_on=None):
        self.began = []
        self.inside = set()
        self.together = set()
        self.fail_on = fail_on

    def _note(self, kind, number):
        self.began.append((kind, number))
        self.inside.add(kind)
        self.together |= {frozenset((kind, other)) for other in self.inside - {kind}}
        time.sleep(0)
        self.inside.discard(kind)
        if (kind, number) == self.fail_on:
            raise MemoryError
        return SimpleNamespace(number=number)

    def hole(self, work):
        return self._note("hole", work.seq)

    def recognise(self, work):
        return self._note(work.kind, work.job)

    def close(self):
        self.began.append(("close", 0))


@pytest.mark.requirement("D2", "O4")
async def test_each_sessions_work_is_done_in_order():
    """One session's pieces keep their order; only feeds run beside a step; outcomes reach the loop."""
    executor = Executor(decodes_at_once=2)
    loop_thread = threading.current_thread()
    outcomes = []
    finished = asyncio.Event()
    workers = [Worker() for _ in range(4)]

    def done(work, outcome):
        assert threading.current_thread() is loop_thread
        outcomes.append(outcome)
        if len(outcomes) == 4 * 40:
            finished.set()

    lanes = [Lane(worker, done) for worker in workers]
    for n in range(20):
        for lane in lanes:
            executor.submit(lane, FeedHole(seq=n, duration_ms=10))
            executor.submit(lane, Recognise(job=n, kind="settle" if n % 3 == 0 else "step"))
    await asyncio.wait_for(finished.wait(), 30)
    await executor.shutdown()
    for worker in workers:
        assert [number for kind, number in worker.began if kind == "hole"] == list(range(20))
        assert [number for kind, number in worker.began if kind != "hole"] == list(range(20))
        for kind, number in worker.began:
            if kind != "hole":
                at = worker.began.index((kind, number))
                assert ("hole", number) in worker.began[:at]
                assert kind == "step" or ("hole", number + 1) not in worker.began[:at]
        assert worker.together <= {frozenset(("hole", "step"))}


@pytest.mark.requirement("E2")
async def test_failures_are_told_and_work_goes_on():
    """What a worker raises is an outcome like any other; the next piece runs."""
    executor = Executor(decodes_at_once=1)
    outcomes = []
    finished = asyncio.Event()

    def done(work, outcome):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            finished.set()

    lane = Lane(Worker(fail_on=("step", 0)), done)
    executor.submit(lane, Recognise(job=0, kind="step"))
    executor.submit(lane, Recognise(job=1, kind="step"))
    await asyncio.wait_for(finished.wait(), 30)
    await executor.shutdown()
    assert isinstance(outcomes[0], MemoryError)
    assert outcomes[1].number == 1


@pytest.mark.requirement("R1")
async def test_a_feed_that_outlasts_its_server_ends_without_a_complaint():
    """A worker that is still busy when the threads are ended needs no thread to be closed."""
    executor, busy, complaints = Executor(decodes_at_once=1), threading.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    worker = Worker()
    worker.hole = lambda _: busy.wait(60)
    lane = Lane(worker, lambda *_: None)
    executor.submit(lane, FeedHole(seq=0, duration_ms=10))
    executor.close_lane(lane)
    ending = asyncio.create_task(executor.shutdown())
    while not executor._feeding._closed:  # noqa: ASYNC110 - a pool has no event for it
        await asyncio.sleep(0.001)
    busy.set()
    await ending
    await asyncio.sleep(0)
    assert complaints == []
    assert lane.running == 0


@pytest.mark.requirement("O3")
async def test_a_closed_lane_does_nothing_more():
    """After a session's end its waiting work is dropped and no outcome is told."""
    executor = Executor(decodes_at_once=1)
    told = []
    lane = Lane(Worker(), lambda *outcome: told.append(outcome))
    for n in range(5):
        executor.submit(lane, Recognise(job=n, kind="step"))
    executor.close_lane(lane)
    await executor.shutdown()
    await asyncio.sleep(0)
    assert not told
    assert len(lane.worker.began) <= 2
    assert lane.worker.began[-1] == ("close", 0)


@pytest.mark.requirement("O2", "O4")
async def test_a_step_that_waits_for_its_turn_holds_no_audio_back():
    """While one session decodes, another's audio is taken in past its waiting step, but not past a settle."""
    executor = Executor(decodes_at_once=1)
    release, fed, all_done = threading.Event(), asyncio.Event(), asyncio.Event()

    class Busy(Worker):
        def recognise(self, work):
            release.wait(60)
            return super().recognise(work)

    def done(work, outcome):
        if isinstance(work, FeedHole):
            {2: fed, 3: all_done}.get(work.seq, asyncio.Event()).set()

    busy, other = Lane(Busy(), done), Lane(Worker(), done)
    executor.submit(busy, Recognise(job=0, kind="step"))
    executor.submit(other, Recognise(job=0, kind="step"))
    for seq in range(3):
        executor.submit(other, FeedHole(seq=seq, duration_ms=10))
    executor.submit(other, Recognise(job=1, kind="settle"))
    executor.submit(other, FeedHole(seq=3, duration_ms=10))
    await asyncio.wait_for(fed.wait(), 30)
    assert other.worker.began == [("hole", 0), ("hole", 1), ("hole", 2)]
    release.set()
    await asyncio.wait_for(all_done.wait(), 30)
    await executor.shutdown()
    assert other.worker.began[3:] == [("step", 0), ("settle", 1), ("hole", 3)]


class Hanging:
    """Decodes that do not return before they are released."""

    def __init__(self, executor):
        self.executor = executor
        self.told = []
        self.returned = asyncio.Queue()
        self._releases = []

    def begin(self, model):
        """Another decode with this model."""
        number, release = len(self._releases), threading.Event()
        worker = Worker()
        worker.recognise = lambda _: release.wait(60)
        lane = Lane(worker, lambda *_: self.returned.put_nowait(number), self.told.append, model)
        self._releases.append(release)
        self.executor.submit(lane, Recognise(job=number, kind="step"))

    async def lost(self, model, count):
        """Waits until so many of a model's workers are."""
        async with asyncio.timeout(30):
            while self.executor._lost[model] != count:  # noqa: ASYNC110 - nobody is told of one
                await asyncio.sleep(0.005)

    def release(self, *numbers):
        for release in [self._releases[number] for number in numbers] or self._releases:
            release.set()


@pytest.fixture
async def hanging(monkeypatch):
    """Decodes with models of two workers each."""
    monkeypatch.setattr("rtstt_lab.server.executor._LOST_S", 0.05)
    executor = Executor(2, Patience(least_s=0.05, factor=0.0))
    hanging = Hanging(executor)
    yield hanging
    hanging.release()
    await asyncio.wait_for(executor.shutdown(), 60)


@pytest.mark.requirement("E2", "O4")
async def test_decodes_that_never_return_cost_lanes(hanging):
    """The executor is stuck when as many are lost as there are lanes, and not before; one may return."""
    executor = hanging.executor
    hanging.begin("base")
    await hanging.lost("base", 1)
    hanging.release(0)
    assert await hanging.returned.get() == 0
    assert not executor._lost
    hanging.begin("base")
    await hanging.lost("base", 1)
    assert not executor.stuck.is_set()
    hanging.begin("base")
    await asyncio.wait_for(executor.stuck.wait(), 30)
    assert len(hanging.told) == 3


@pytest.mark.requirement("E2", "O4")
async def test_each_model_loses_its_own_workers(hanging):
    """Two that have a worker left each go on, though two are lost; one that has none left ends the server."""
    for model in ("base", "tiny"):
        hanging.begin(model)
        await hanging.lost(model, 1)
    assert not hanging.executor.stuck.is_set()
    well, done = Worker(), asyncio.Event()
    hanging.executor.submit(Lane(well, lambda *_: done.set(), model="tiny"), Recognise(job=9, kind="step"))
    await asyncio.wait_for(done.wait(), 30)
    assert well.began == [("step", 9)]
    hanging.begin("tiny")
    await asyncio.wait_for(hanging.executor.stuck.wait(), 30)


@pytest.mark.requirement("E2", "O4")
async def test_without_a_thread_nothing_can_be_decoded(hanging, monkeypatch):
    """Only so many threads are left behind: where no other takes their place, that is the end, too."""
    monkeypatch.setattr("rtstt_lab.server.threads._MOST_WRITTEN_OFF", 1)
    for number, model in enumerate(("base", "tiny", "small")):
        assert not hanging.executor.stuck.is_set()
        hanging.begin(model)
        await hanging.lost(model, 1)
        assert len(hanging.told) == number + 1
    await asyncio.wait_for(hanging.executor.stuck.wait(), 30)

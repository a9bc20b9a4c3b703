"""Does the sessions' work on threads: each session's in order, and the decoder in fair turns.

Feeding audio is cheap and waits for nobody but its own session; decoding is dear, so a session that asks
for a decode waits for its turn among all of them. Work that takes longer than it can (by its audio, and by
how slow this machine was lately) is told as hanging, and another thread takes its place: the other sessions
go on. Everything here is called on the event loop; only `SessionWorker` runs elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final as Constant
from typing import Generic, TypeAlias, TypeVar

from rtstt_lab.engine.effects import AudioReport, FeedAudio, FeedHole, Recognise, RecognitionReport
from rtstt_lab.engine.patience import Patience
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.server.threads import Call, Threads

Work: TypeAlias = FeedAudio | FeedHole | Recognise
Report: TypeAlias = AudioReport | RecognitionReport
Done: TypeAlias = Callable[[Work, Report | BaseException], None]

_FEED_S: Constant = 60.0
"""A chunk decodes in milliseconds, and its decoder gives up on itself before this."""
_ENDING_S: Constant = 30.0
_LOST_S: Constant = 60.0
"""A decode that was told as hanging is waited for so long; then the model's own worker is lost with it."""

_Who = TypeVar("_Who", bound=Hashable)


class FairTurns(Generic[_Who]):
    """Whose turn it is: whoever has had least of a resource, and nobody earns credit by staying away.

    Start-time fair queueing (Goyal, Vin and Cheng, 1996) with one weight: a turn starts at the later of what
    the asker has used and where the last turn started, and the earliest start goes first.
    """

    def __init__(self) -> None:
        self._used_s: dict[_Who, float] = {}
        self._waiting: dict[_Who, float] = {}
        self._start_s = 0.0

    def ask(self, who: _Who) -> None:
        """Queues for one turn; asking again while waiting changes nothing."""
        self._waiting.setdefault(who, max(self._used_s.get(who, 0.0), self._start_s))

    def take(self) -> _Who | None:
        """The next one, who no longer waits; of equals, the one that asked first."""
        if not self._waiting:
            return None
        who = min(self._waiting, key=self._waiting.__getitem__)
        self._start_s = self._waiting.pop(who)
        self._used_s[who] = self._start_s
        return who

    def used(self, who: _Who, seconds: float) -> None:
        """Charges a turn that was taken."""
        self._used_s[who] = self._used_s.get(who, self._start_s) + seconds

    def forget(self, who: _Who) -> None:
        """Drops one that will not come back."""
        self._waiting.pop(who, None)
        self._used_s.pop(who, None)


@dataclass(eq=False, slots=True)
class Lane:
    """One session's work.

    Attributes:
        worker: does it; feeds may run beside a step, all else one after the other.
        done: told the outcome of each piece, on the event loop.
        waiting: in order.
        decode: waits for its turn, or runs. Beside a step feeds go on: it hears what is there by then.
        running: how many threads are in the worker.
        feeding: one of them with a feed.
        hangs: told work that has not returned in time; its outcome is told all the same if it ever comes.
        model: what decodes for it, and for others; as many decodes at once as the executor's.
    """

    worker: SessionWorker
    done: Done
    hangs: Callable[[Work], None] = lambda _: None
    model: Hashable = None
    waiting: deque[Work] = field(default_factory=deque)
    decode: Recognise | None = None
    running: int = 0
    feeding: bool = False
    closed: bool = False


class Executor:
    """Threads shared by all sessions.

    Args:
        decodes_at_once: how many decodes the machine bears.
        patience: how long a decode may take.

    Attributes:
        stuck: set once so many decodes hang that a model has no worker left, or decodes have no thread: only
            another process helps.
    """

    def __init__(self, decodes_at_once: int, patience: Patience | None = None) -> None:
        self._feeding = Threads(2, "feed")
        self._decoding = Threads(decodes_at_once, "decode")
        self._patience = patience or Patience()
        self._turns: FairTurns[Lane] = FairTurns()
        self._free = self._lanes = decodes_at_once
        self._lost: Counter[Hashable] = Counter()
        self._threadless = 0
        self.stuck = asyncio.Event()

    @property
    def hanging(self) -> int:
        """How many threads are in a call that has not returned in time."""
        return self._decoding.hanging + self._feeding.hanging

    def submit(self, lane: Lane, work: Work) -> None:
        """Queues a piece of work behind the lane's earlier ones."""
        lane.waiting.append(work)
        self._advance(lane)

    def close_lane(self, lane: Lane) -> None:
        """Drops what waits; what runs now ends, its outcome is not told, and then the worker is closed."""
        if not lane.closed:
            lane.closed = True
            lane.waiting.clear()
            lane.done, lane.hangs = _tell_nobody, _tell_nobody
            self._turns.forget(lane)
            self._close_worker(lane)

    async def shutdown(self, limit_s: float = _ENDING_S) -> None:
        """Ends the threads once what runs has ended, or after so long; all lanes must be closed."""
        limit_s = 0.0 if self.stuck.is_set() else limit_s
        for threads in (self._decoding, self._feeding):
            await asyncio.to_thread(threads.close, limit_s)

    def _advance(self, lane: Lane) -> None:
        while lane.waiting and not lane.feeding:
            work = lane.waiting[0]
            if isinstance(work, Recognise):
                if lane.decode is not None:
                    break
                lane.decode = work
                self._turns.ask(lane)
            elif lane.decode is None or lane.decode.kind == "step":
                lane.feeding = True
                self._start(lane, work, self._feeding, _FEED_S)
            else:
                break
            lane.waiting.popleft()
        self._decode_next()

    def _decode_next(self) -> None:
        while self._free and (lane := self._turns.take()) is not None:
            if lane.decode is not None:
                self._free -= 1
                self._start(lane, lane.decode, self._decoding, self._patience.allowed_s(lane.decode.audio_s))

    def _start(self, lane: Lane, work: Work, threads: Threads, allowed_s: float) -> None:
        lane.running += 1
        running = _Running(lane, work, asyncio.get_running_loop(), threads, allowed_s)
        try:
            running.call = threads.submit(partial(_perform, running, self._finished))
        except RuntimeError as error:  # no thread to be had: an outcome like any other, but not at once
            running.loop.call_soon(self._finished, running, error)
        else:
            running.watch = running.loop.call_later(allowed_s, self._overdue, running)

    def _finished(self, running: _Running, outcome: Report | BaseException) -> None:
        if running.over:
            return
        running.over, lane, work = True, running.lane, running.work
        if running.watch:
            running.watch.cancel()
        lane.running -= 1
        if running.lost:
            self._count_lost(running, -1)
        if isinstance(work, Recognise):
            lane.decode = None
            self._free += not (running.call and running.call.written_off)
            took_s = time.monotonic() - running.began_s
            if not isinstance(outcome, BaseException) and not running.late:
                self._patience.took(work.audio_s, took_s)
            if not lane.closed:
                self._turns.used(lane, took_s)
        else:
            lane.feeding = False
        try:
            if lane.closed:
                self._close_worker(lane)
            else:
                lane.done(work, outcome)
        finally:
            self._advance(lane)

    def _overdue(self, running: _Running) -> None:
        """The call has taken longer than it can: another thread takes its place, and its session is told."""
        call = running.call
        if call is None or call.lost:
            self._finished(running, RuntimeError("the thread is gone"))
            return
        if call.thread is None:  # it waits for a thread: nothing hangs yet
            running.watch = running.loop.call_later(running.allowed_s, self._overdue, running)
            return
        running.late = True
        replaced = running.threads.replace(call)
        if isinstance(running.work, Recognise):
            self._free += replaced
            running.loop.call_later(_LOST_S, self._give_up, running)
        running.lane.hangs(running.work)
        self._decode_next()

    def _give_up(self, running: _Running) -> None:
        """A thread of Python's was replaced at once, if it could be; the worker in the model never can."""
        if not running.over:
            running.lost = True
            self._count_lost(running, 1)
            if max(self._lost[running.lane.model], self._threadless) >= self._lanes:
                self.stuck.set()

    def _count_lost(self, running: _Running, change: int) -> None:
        model = running.lane.model
        self._lost[model] += change
        if not self._lost[model]:
            del self._lost[model]
        # A lost decode costs a thread only if none took its place; that was settled when it came to be late.
        if not (running.call and running.call.written_off):
            self._threadless += change

    def _close_worker(self, lane: Lane) -> None:
        if not lane.running:
            with suppress(RuntimeError):  # the threads are ending, and the process with them
                self._feeding.submit(lane.worker.close)


@dataclass(eq=False, slots=True)
class _Running:
    """One piece of work from its start to its outcome."""

    lane: Lane
    work: Work
    loop: asyncio.AbstractEventLoop
    threads: Threads
    allowed_s: float
    began_s: float = field(default_factory=time.monotonic)
    call: Call | None = None
    watch: asyncio.TimerHandle | None = None
    late: bool = False
    lost: bool = False
    over: bool = False


def _tell_nobody(*_: object) -> None:
    """What a closed lane keeps instead of its session, which is to be freed at once."""


def _perform(running: _Running, finished: Callable[[_Running, Report | BaseException], None]) -> None:
    """On a thread: whatever is raised is an outcome."""
    outcome: Report | BaseException
    try:
        outcome = _work(running.lane.worker, running.work)
    except BaseException as error:  # noqa: BLE001 - a thread must not die of its work
        outcome = error
    with suppress(RuntimeError):  # the loop has ended before
        running.loop.call_soon_threadsafe(finished, running, outcome)


def _work(worker: SessionWorker, work: Work) -> Report:
    match work:
        case FeedAudio():
            return worker.feed(work)
        case FeedHole():
            return worker.hole(work)
        case Recognise():
            return worker.recognise(work)

"""Does the sessions' work on threads: each session's in order, and the decoder in fair turns.

Feeding audio is cheap and waits for nobody but its own session; decoding is dear, so a session that asks
for a decode waits for its turn among all of them. Everything here is called on the event loop; only
`SessionWorker` runs elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from rtstt_lab.engine.effects import AudioReport, FeedAudio, FeedHole, Recognise, RecognitionReport
from rtstt_lab.engine.worker import SessionWorker

Work: TypeAlias = FeedAudio | FeedHole | Recognise
Report: TypeAlias = AudioReport | RecognitionReport
Done: TypeAlias = Callable[[Work, Report | BaseException], None]

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
    """

    worker: SessionWorker
    done: Done
    waiting: deque[Work] = field(default_factory=deque)
    decode: Recognise | None = None
    running: int = 0
    feeding: bool = False
    closed: bool = False


class Executor:
    """Threads shared by all sessions.

    Args:
        decodes_at_once: how many decodes the machine bears.
    """

    def __init__(self, decodes_at_once: int) -> None:
        self._feeding = ThreadPoolExecutor(2, thread_name_prefix="feed")
        self._decoding = ThreadPoolExecutor(decodes_at_once, thread_name_prefix="decode")
        self._turns: FairTurns[Lane] = FairTurns()
        self._free = decodes_at_once

    def submit(self, lane: Lane, work: Work) -> None:
        """Queues a piece of work behind the lane's earlier ones."""
        lane.waiting.append(work)
        self._advance(lane)

    def close_lane(self, lane: Lane) -> None:
        """Drops what waits; what runs now ends, its outcome is not told, and then the worker is closed."""
        if not lane.closed:
            lane.closed = True
            lane.waiting.clear()
            lane.done = _tell_nobody
            self._turns.forget(lane)
            self._close_worker(lane)

    async def shutdown(self) -> None:
        """Ends the threads once what runs has ended; all lanes must be closed."""
        for pool in (self._decoding, self._feeding):
            await asyncio.to_thread(pool.shutdown)

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
                self._start(lane, work, self._feeding)
            else:
                break
            lane.waiting.popleft()
        self._decode_next()

    def _decode_next(self) -> None:
        while self._free and (lane := self._turns.take()) is not None:
            if lane.decode is not None:
                self._free -= 1
                self._start(lane, lane.decode, self._decoding)

    def _start(self, lane: Lane, work: Work, pool: ThreadPoolExecutor) -> None:
        lane.running += 1
        loop, began_s = asyncio.get_running_loop(), time.monotonic()
        pool.submit(_perform, lane.worker, work).add_done_callback(
            lambda future: loop.call_soon_threadsafe(self._finished, lane, work, future, began_s)
        )

    def _finished(self, lane: Lane, work: Work, future: Future[Report], began_s: float) -> None:
        lane.running -= 1
        if isinstance(work, Recognise):
            lane.decode = None
            self._free += 1
            if not lane.closed:
                self._turns.used(lane, time.monotonic() - began_s)
        else:
            lane.feeding = False
        try:
            if lane.closed:
                self._close_worker(lane)
            else:
                lane.done(work, future.exception() or future.result())
        finally:
            self._advance(lane)

    def _close_worker(self, lane: Lane) -> None:
        if not lane.running:
            with suppress(RuntimeError):  # the threads are ending, and the process with them
                self._feeding.submit(lane.worker.close)


def _tell_nobody(work: Work, outcome: Report | BaseException) -> None:
    """What a closed lane keeps instead of its session, which is to be freed at once."""


def _perform(worker: SessionWorker, work: Work) -> Report:
    match work:
        case FeedAudio():
            return worker.feed(work)
        case FeedHole():
            return worker.hole(work)
        case Recognise():
            return worker.recognise(work)

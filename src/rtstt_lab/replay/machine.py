"""The server's machine in virtual time: does a session's work for real and charges its cost to the agenda."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import psutil

from rtstt_lab.engine.effects import FeedAudio, FeedHole, Recognise, ResourceSample
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import RtsttError
from rtstt_lab.replay.agenda import Agenda
from rtstt_lab.server.executor import Done, Lane, Report, Work

Cost: TypeAlias = Callable[[Work, float], float]
"""(work, CPU seconds that it took here) → seconds of virtual time until its result is told."""

_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """The CPU seconds that the work took here.

    Attributes:
        slowdown: a machine that many times slower.
    """

    slowdown: float = 1.0

    def __call__(self, _work: Work, cpu_s: float) -> float:
        """A `Cost`."""
        return self.slowdown * cpu_s


@dataclass(frozen=True, slots=True)
class Fitted:
    """The same cost every time, so that a run is the same every time; by default none.

    Attributes:
        step_s: of a decode while somebody speaks.
        settle_s: of one at the end of an utterance.
        feed_s: of taking in a chunk.
    """

    step_s: float = 0.0
    settle_s: float = 0.0
    feed_s: float = 0.0

    def __call__(self, work: Work, _cpu_s: float) -> float:
        """A `Cost`."""
        if not isinstance(work, Recognise):
            return self.feed_s
        return self.step_s if work.kind == "step" else self.settle_s


class VirtualMachine:
    """One worker: feeds may go on beside a step, all else is one after the other, as in the server.

    Attributes:
        cpu_s: taken so far, unscaled.

    Args:
        agenda: virtual time.
        worker: does the work.
        done: told each outcome when its cost has passed.
        cost: of each piece.
    """

    def __init__(self, agenda: Agenda, worker: SessionWorker, done: Done, cost: Cost) -> None:
        self.cpu_s = 0.0
        self._agenda = agenda
        self._lane = Lane(worker, done)
        self._cost = cost
        self._sampled = (agenda.now_s, 0.0)

    def submit(self, work: Work) -> None:
        """Queues a piece of work."""
        self._lane.waiting.append(work)
        self._advance()

    def close(self) -> None:
        """Drops what waits and ends the worker; again does nothing."""
        if not self._lane.closed:
            self._lane.closed = True
            self._lane.waiting.clear()
            self._lane.worker.close()

    def sample(self) -> ResourceSample:
        """CPU since the last sample, in virtual time; memory is that of this process, now."""
        now_s, cpu_s = self._agenda.now_s, self.cpu_s
        (then_s, cpu_before_s), self._sampled = self._sampled, (now_s, cpu_s)
        return ResourceSample(
            cpu_percent=100 * (cpu_s - cpu_before_s) / (now_s - then_s) if now_s > then_s else 0.0,
            process_cpu_s=cpu_s,
            rss_mb=psutil.Process().memory_info().rss / _MB,
            ram_available_mb=psutil.virtual_memory().available / _MB,
        )

    def _advance(self) -> None:
        while not self._lane.closed and self._lane.ready:
            work = self._lane.waiting.popleft()
            self._lane.running.append(work)
            # All threads of the process count: the model computes on threads of its own.
            began_s = time.process_time()
            outcome = self._perform(work)
            cpu_s = time.process_time() - began_s
            self.cpu_s += cpu_s
            self._agenda.at(
                self._agenda.now_s + self._cost(work, cpu_s),
                lambda work=work, outcome=outcome: self._finished(work, outcome),  # type: ignore[misc]
            )

    def _perform(self, work: Work) -> Report | BaseException:
        worker = self._lane.worker
        try:
            match work:
                case FeedAudio():
                    return worker.feed(work)
                case FeedHole():
                    return worker.hole(work)
                case Recognise():
                    return worker.recognise(work)
        except RtsttError as error:
            return error

    def _finished(self, work: Work, outcome: Report | BaseException) -> None:
        self._lane.running.remove(work)
        if not self._lane.closed:
            self._lane.done(work, outcome)
            self._advance()

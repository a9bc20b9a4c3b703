"""The server's machine in virtual time: does a session's work for real and charges its cost to the agenda."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import psutil

from rtstt_lab.engine.effects import (
    AudioReport,
    FeedAudio,
    FeedHole,
    Recognise,
    RecognitionReport,
    ResourceSample,
)
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.errors import RtsttError
from rtstt_lab.replay.agenda import Agenda

Work: TypeAlias = FeedAudio | FeedHole | Recognise
Report: TypeAlias = AudioReport | RecognitionReport
Done: TypeAlias = Callable[[Work, Report | RtsttError], None]
"""Told each piece of work and its outcome."""
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


class MachineClock:
    """Virtual time as the recognizer reads it: what its work has cost so far has passed by then.

    Args:
        agenda: virtual time; it moves on between pieces of work only.
        cost: of each piece; one that does not depend on CPU seconds has passed from the beginning.
    """

    def __init__(self, agenda: Agenda, cost: Cost) -> None:
        self._agenda = agenda
        self._cost = cost
        self._doing: tuple[Work, float] | None = None

    def __call__(self) -> float:
        """Seconds of virtual time."""
        if self._doing is None:
            return self._agenda.now_s
        work, began_s = self._doing
        return self._agenda.now_s + self._cost(work, time.process_time() - began_s)

    @contextmanager
    def doing(self, work: Work) -> Iterator[None]:
        """Meanwhile this piece of work is done."""
        self._doing = work, time.process_time()
        try:
            yield
        finally:
            self._doing = None


class VirtualMachine:
    """One worker, in the server's order: feeds may go on beside a step, all else is one after the other.

    Attributes:
        cpu_s: taken so far, unscaled.

    Args:
        agenda: virtual time.
        worker: does the work.
        done: told each outcome when its cost has passed.
        cost: of each piece.
        clock: that the worker's recognizer reads.
    """

    def __init__(
        self, agenda: Agenda, worker: SessionWorker, done: Done, cost: Cost, clock: MachineClock
    ) -> None:
        self.cpu_s = 0.0
        self._agenda = agenda
        self._worker = worker
        self._done = done
        self._cost = cost
        self._clock = clock
        self._waiting: deque[Work] = deque()
        self._decoding: Recognise | None = None
        self._feeding = False
        self._closed = False
        self._sampled = (agenda.now_s, 0.0)

    def submit(self, work: Work) -> None:
        """Queues a piece of work."""
        self._waiting.append(work)
        self._advance()

    def close(self) -> None:
        """Drops what waits and ends the worker; again does nothing."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._worker.close()

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
        while self._waiting and not self._feeding:
            work = self._waiting[0]
            if isinstance(work, Recognise):
                if self._decoding is not None:
                    return
                self._decoding = work
            elif self._decoding is None or self._decoding.kind == "step":
                self._feeding = True
            else:
                return
            self._waiting.popleft()
            self._begin(work)

    def _begin(self, work: Work) -> None:
        began_s = time.process_time()  # of all threads: the model computes on threads of its own
        with self._clock.doing(work):
            outcome = self._perform(work)
        cpu_s = time.process_time() - began_s
        self.cpu_s += cpu_s
        self._agenda.at(self._agenda.now_s + self._cost(work, cpu_s), lambda: self._finished(work, outcome))

    def _perform(self, work: Work) -> Report | RtsttError:
        try:
            match work:
                case FeedAudio():
                    return self._worker.feed(work)
                case FeedHole():
                    return self._worker.hole(work)
                case Recognise():
                    return self._worker.recognise(work)
        except RtsttError as error:
            return error

    def _finished(self, work: Work, outcome: Report | RtsttError) -> None:
        if isinstance(work, Recognise):
            self._decoding = None
        else:
            self._feeding = False
        if not self._closed:
            self._done(work, outcome)
            self._advance()

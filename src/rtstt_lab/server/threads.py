"""Daemon threads that can be written off: a call that hangs holds neither its neighbours nor the exit.

Python can't end a thread. `concurrent.futures` waits for its threads at the interpreter's end, so one that
hangs would keep the process for ever, and its place in the pool is lost. Here another thread takes that
place; the old one ends by itself once its call returns.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

_MOST_WRITTEN_OFF = 8


class Call:
    """One call on a thread.

    Attributes:
        thread: that runs it; ``None`` while it waits.
        written_off: its thread was replaced.
        returned: it is over.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self.thread: threading.Thread | None = None
        self.written_off = False
        self.returned = False

    @property
    def lost(self) -> bool:
        """Its thread has died under it: no answer will come."""
        return self.thread is not None and not self.thread.is_alive()


class Threads:
    """A fixed number of threads behind one queue; they start with the first call.

    Args:
        count: how many calls run at once.
        name: of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._written_off: list[threading.Thread] = []
        self._closed = False
        self._deciding = threading.Lock()

    @property
    def hanging(self) -> int:
        """How many threads were written off and have not returned."""
        self._written_off = [thread for thread in self._written_off if thread.is_alive()]
        return len(self._written_off)

    def submit(self, run: Callable[[], None]) -> Call:
        """Queues a call, which must not raise. Threads that died are replaced.

        Raises:
            RuntimeError: no thread can be started, or they are closed.
        """
        if self._closed:
            raise RuntimeError("closed")
        self._start_missing()
        call = Call(run)
        self._queue.put(call)
        return call

    def replace(self, call: Call) -> bool:
        """Writes the thread of a hanging call off and starts another one.

        Returns:
            Whether there is another one: not for a call that waits still, and not for ever more threads.
        """
        thread = call.thread
        if thread is None or thread not in self._threads or self.hanging >= _MOST_WRITTEN_OFF:
            return False
        with self._deciding:
            if call.returned:
                return False
            call.written_off = True
        self._threads.remove(thread)
        self._written_off.append(thread)
        self._start_missing()
        return True

    def close(self, limit_s: float) -> None:
        """Ends the threads when their calls have returned; waits at most so long, and for no hanging one."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        ends_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, ends_s - time.monotonic()))

    def _start_missing(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:
                    raise
                return  # the system has none left; those that run take the work in turns
            self._threads.append(thread)

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            call.thread = threading.current_thread()
            run, call.run = call.run, _nothing  # what it holds must not outlive it
            run()
            with self._deciding:
                call.returned = True
            if call.written_off:
                return
            del run, call


def _nothing() -> None:
    """What a call that has run is left with."""

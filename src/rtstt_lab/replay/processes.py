"""What a fault schedule does to the server's process: stops it, or kills it and starts another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from rtstt_lab.replay.faults import FaultSchedule, Kill
from rtstt_lab.replay.tampering import Happened


class ServerProcess(Protocol):
    """A server that faults can reach."""

    def suspend(self) -> None:
        """SIGSTOP."""

    def resume(self) -> None:
        """SIGCONT."""

    async def kill(self) -> None:
        """SIGKILL, and waits until the process is gone."""

    async def restart(self) -> None:
        """A new process on the same port, with the same secret and journal; returns when it is ready."""


async def disturb(
    process: ServerProcess,
    schedule: FaultSchedule,
    happened: Callable[[Happened], None],
    *,
    origin_s: float,
    clock: Callable[[], float],
    over: asyncio.Event,
) -> None:
    """Executes the schedule's process faults, one after the other, by absolute deadlines.

    Args:
        process: suffers them.
        schedule: what and when.
        happened: told each one when it is over; a kill is over when the new process is ready.
        origin_s: the schedule's time 0 on the clock.
        clock: monotonic seconds.
        over: once set, what has begun is brought to its end at once, and the rest is left out.

    Raises:
        ServiceError: a new process could not be started.
    """

    async def until(at_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), max(0.0, origin_s + at_s - clock()))

    for fault in schedule.process_faults():
        await until(fault.at_s)
        if over.is_set():
            return
        began_s = clock() - origin_s
        if isinstance(fault, Kill):
            await process.kill()
            await until(fault.end_s)
            await process.restart()
        else:
            process.suspend()
            await until(fault.end_s)
            process.resume()
        happened(Happened(fault, began_s, clock() - origin_s))

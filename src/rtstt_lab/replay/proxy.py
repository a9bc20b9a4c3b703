"""A TCP proxy that does to real sockets what a fault schedule says."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final

import numpy as np

from rtstt_lab.replay.faults import Channel, Cut, Fault, FaultSchedule
from rtstt_lab.replay.tampering import Happened

_BLOCK_BYTES: Final = 65_536
_BLOCKS_IN_FLIGHT: Final = 64
"""What is read and not yet let through is bounded: a full pipe stops the sender, as a real one does."""


class FaultProxy:
    """Listens on a free loopback port and passes bytes on; use as ``async with``.

    Args:
        host: of the server behind it.
        port: of the server behind it.
        schedule: counts from `begin`, what it has for the end from `stopped`; before `begin` all is well.
        seed: of the jitter.
        clock: monotonic seconds; the event loop's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        schedule: FaultSchedule,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = 0
        self.connections = 0
        self._target = host, port
        self._schedule = schedule
        self._scheduled: dict[Fault, Fault] = {fault: fault for fault in schedule.faults}
        self._met: set[Fault] = set()
        self._channels: set[Channel] = set()
        self._rng = np.random.default_rng(seed)
        self._clock = clock
        self._origin_s = math.inf
        self._stop_pressed = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def happened(self) -> list[Happened]:
        """The faults that met something: cuts that broke a connection, others that held bytes back."""
        met = (fault for fault in self._schedule.faults if fault in self._met)
        return [Happened(self._scheduled[fault], fault.at_s, fault.end_s) for fault in met]

    def begin(self, origin_s: float) -> None:
        """The schedule's time 0 on the clock; the first call counts."""
        if math.isinf(self._origin_s):
            self._origin_s = origin_s
            self._spawn(self._cut(self._schedule.faults))
            if self._stop_pressed:
                self.stopped()

    def stopped(self) -> None:
        """Stop is being pressed, and nothing is sent of it yet; the first call counts.

        A session may be stopped before it has any audio: its link stays clean, unless some comes after all.
        """
        self._stop_pressed = True
        if math.isinf(self._origin_s):
            return
        before, self._schedule = self._schedule, self._schedule.stopped(self._now_s())
        moved = [fault for fault in self._schedule.faults if fault not in self._scheduled]
        self._scheduled.update(zip(moved, before.after_stop, strict=True))
        for channel in self._channels:
            channel.suffer(self._schedule)
        self._spawn(self._cut(moved))

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._break_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _now_s(self) -> float:
        return self._clock() - self._origin_s

    async def _cut(self, faults: Iterable[Fault]) -> None:
        """Breaks what is open at each cut, by absolute deadlines."""
        for cut in faults:
            if isinstance(cut, Cut):
                await self._until(cut.at_s)
                if self._open:
                    self._met.add(cut)
                self._break_all()

    def _break_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._schedule.is_cut(self._now_s()):
            writer.transport.abort()
            return
        try:
            behind_reader, behind_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, behind_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, behind_writer))
                group.create_task(self._carry(behind_reader, writer))
        finally:
            self._open -= {writer, behind_writer}
            for end in (writer, behind_writer):
                end.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, to its end."""
        channel = Channel(self._schedule, self._rng)
        self._channels.add(channel)
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_BLOCKS_IN_FLIGHT)
        delivery = asyncio.create_task(self._deliver(waiting, writer))
        try:
            with suppress(OSError):
                while data := await reader.read(_BLOCK_BYTES):
                    now_s = self._now_s()
                    self._met.update(self._schedule.slowing(now_s))
                    await waiting.put((channel.arrival_s(now_s, len(data)), data))
            await waiting.put((channel.arrival_s(self._now_s(), 0), b""))
            await delivery
        finally:
            self._channels.discard(channel)
            delivery.cancel()

    async def _deliver(
        self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while True:
                arrival_s, data = await waiting.get()
                await self._until(arrival_s)
                if not data:
                    writer.close()  # wakes the other direction, too
                    return
                writer.write(data)
                await writer.drain()

    async def _until(self, at_s: float) -> None:
        if (early_s := at_s - self._now_s()) > 0:
            await asyncio.sleep(early_s)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

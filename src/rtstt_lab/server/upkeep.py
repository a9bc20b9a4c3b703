"""What a server does once a second: looks at the machine, frees what is idle, brings journals to the disk."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final as Constant

from rtstt_lab.engine.effects import ResourceSample
from rtstt_lab.errors import StorageError
from rtstt_lab.server import heap
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.journal import Journal
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.monitor import ResourceMonitor
from rtstt_lab.server.past import SuspendedSessions, Tombstones
from rtstt_lab.server.telemetry import Telemetry

EVERY_S: Constant = 1.0
_TRIM_EVERY_S: Constant = 10.0
_REFRESH_EVERY_S: Constant = 60.0
_LOW_RAM_MB: Constant = 1024.0

log = logging.getLogger(__name__)


class Upkeep:
    """Two loops: one looks at the machine and tells every session, the other keeps the journals.

    They are apart, so that a disk that doesn't answer can't keep anybody from noticing that memory runs out.

    Args:
        hosts: the live sessions, by id.
        models: those in memory.
        tombstones: of finished sessions.
        suspended: sessions that no server has open.
        telemetry: is told of each look.
        idle_model_s: a model that nobody used for so long is unloaded.
        clock: monotonic seconds.

    Attributes:
        sample: the newest look at the machine.
    """

    def __init__(
        self,
        hosts: Mapping[str, SessionHost],
        *,
        models: ModelPool,
        tombstones: Tombstones,
        suspended: SuspendedSessions,
        telemetry: Telemetry,
        idle_model_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._hosts = hosts
        self._models = models
        self._tombstones = tombstones
        self._suspended = suspended
        self._telemetry = telemetry
        self._idle_model_s = idle_model_s
        self._clock = clock
        self._monitor = ResourceMonitor(clock)
        self._trimmed_s = self._refreshed_s = clock()
        self._low = False
        self._tasks: list[asyncio.Task[None]] = []
        self.sample: ResourceSample = self._monitor.sample()

    def start(self) -> None:
        """Begins; on the event loop."""
        self._tasks = [asyncio.create_task(_repeat(work)) for work in (self.look, self.keep)]

    def stop(self) -> None:
        """Ends."""
        for task in self._tasks:
            task.cancel()

    async def look(self) -> None:
        """Looks at the machine, tells every session, frees what is idle: at once when memory is low (A2)."""
        self.sample = sample = await asyncio.to_thread(self._monitor.sample)
        self._telemetry.sampled(sample, len(self._hosts))
        was_low, self._low = self._low, sample.ram_available_mb < _LOW_RAM_MB
        self._models.release_idle(0.0 if self._low else self._idle_model_s)
        for host in list(self._hosts.values()):
            host.engine.resources(sample, self._clock())
            host.drain()
        self._tombstones.expire()
        begins = self._low and not was_low
        if begins or self._clock() - self._trimmed_s >= _TRIM_EVERY_S:
            self._trimmed_s = self._clock()
            if self._low:
                gc.collect()  # what finished sessions said to each other goes only then
            await asyncio.to_thread(heap.trim)
        if begins:
            log.warning("only %.0f MB of memory are left", sample.ram_available_mb)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._sync()

    async def keep(self) -> None:
        """Brings journals to the disk, and looks for those of other servers, and for old ones."""
        for host in list(self._hosts.values()):
            host.keep_again()
        await self._sync()
        if self._clock() - self._refreshed_s >= _REFRESH_EVERY_S:
            self._refreshed_s = self._clock()
            await self._suspended.refresh()

    async def _sync(self) -> None:
        hosts = [host for host in self._hosts.values() if host.journal.unsynced]
        if hosts:
            errors = await asyncio.to_thread(_sync, [host.journal for host in hosts])
            for host, error in zip(hosts, errors, strict=True):
                host.synced(error)


def _sync(journals: Iterable[Journal]) -> list[StorageError | None]:
    errors: list[StorageError | None] = []
    for journal in journals:
        try:
            journal.sync()
        except StorageError as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors


async def _repeat(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await work()
        except Exception:  # one that fails must not be the last: memory is guarded by it
            log.exception("the upkeep failed")

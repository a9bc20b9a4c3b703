"""The same replay over real sockets: a real server, a real WebSocket, and faults that happen to them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import httpx

from rtstt_lab.client.sources import AudioChunk, real_time
from rtstt_lab.client.streaming import Observer, StreamingClient, unchanged
from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, StateChanged
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.processes import ServerProcess, disturb
from rtstt_lab.replay.proxy import FaultProxy
from rtstt_lab.replay.tampering import Happened, Tampering
from rtstt_lab.replay.virtual import Replayed

Pace: TypeAlias = Callable[[Iterable[AudioChunk]], AsyncIterator[AudioChunk]]


async def replay_in_real_time(
    chunks: Sequence[AudioChunk],
    url: str,
    *,
    pace: Pace = real_time,
    ahead_s: float = math.inf,
    token: str | None = None,
    model: str | None = None,
    language: str | None = None,
    faults: FaultSchedule | None = None,
    seed: int = 0,
    client_settings: ClientSettings | None = None,
    process: ServerProcess | None = None,
    process_cpu_s: Callable[[], float] | None = None,
    observers: Sequence[Observer] = (),
) -> Replayed:
    """Streams a recording to a session's end, at the pace of speech or at another.

    Args:
        chunks: of one recorder, in order.
        url: of the server.
        pace: makes a source of the chunks; the schedule counts from when it is first asked.
        ahead_s: see `StreamingClient.run`.
        token: opens it.
        model: the server's own if not given.
        language: ISO 639-1 code; ``None`` is detection.
        faults: what link, messages and process suffer; without any the client talks to the server directly.
        seed: of jitter and corruption.
        client_settings: of the client's patience.
        process: the server's, for faults that happen to it; it runs again when this returns.
        process_cpu_s: reads the CPU seconds of the server's process tree.
        observers: told every event of the session.

    Raises:
        UsageError: faults that happen to a process, and none is given.
        RtsttError: no session could be made, or no new process; what fails later is in the result.
    """
    faults = faults or FaultSchedule()
    if (unreachable := faults.process_faults()) and process is None:
        raise UsageError("fault_process", fault=unreachable[0].kind)
    async with AsyncExitStack() as stack:
        source, tampering = pace(chunks), Tampering(faults, seed=seed)
        told, proxy = list(observers), None
        suffering = _Suffering(faults, process)
        if faults != FaultSchedule():
            address = httpx.URL(url)
            proxy = await stack.enter_async_context(
                FaultProxy(address.host, address.port or 80, faults, seed=seed)
            )
            url = proxy.url
            source = _announced(source, (proxy.begin, tampering.begin, suffering.begin))
            told.append(_when_stopped(proxy.stopped))
        client = StreamingClient(
            url,
            token=token,
            model=model,
            language=language,
            settings=client_settings,
            observers=told,
            passing=tampering if faults.message_faults() else unchanged,
        )
        before_s = process_cpu_s() if process_cpu_s else math.nan
        try:
            result = await client.run(source, ahead_s=ahead_s)
        finally:
            await suffering.end()
        cpu_s = (process_cpu_s() if process_cpu_s else math.nan) - before_s
        met = proxy.happened if proxy else ()
        return Replayed(result, cpu_s, (*met, *tampering.happened, *suffering.happened))


class _Suffering:
    """The process's part of the schedule, as a task from the first chunk to the session's end."""

    def __init__(self, schedule: FaultSchedule, process: ServerProcess | None) -> None:
        self.happened: list[Happened] = []
        self._schedule = schedule
        self._process = process
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, origin_s: float) -> None:
        if self._process is not None and self._schedule.process_faults():
            work = disturb(
                self._process,
                self._schedule,
                self.happened.append,
                origin_s=origin_s,
                clock=time.monotonic,
                over=self._over,
            )
            self._task = asyncio.create_task(work)

    async def end(self) -> None:
        """What has begun is brought to its end; what was still to come is left out.

        Raises:
            ServiceError: the process could not be started again.
        """
        if self._task is not None:
            self._over.set()
            await self._task


def _when_stopped(tell: Callable[[], None]) -> Observer:
    """Calls it as soon as stop is pressed, before the socket gets anything of that; perhaps again later."""

    def observe(_now: float, event: ClientEvent) -> None:
        if isinstance(event, StateChanged) and event.phase is Phase.FINALIZING:
            tell()

    return observe


async def _announced(
    source: AsyncIterator[AudioChunk], begin: Sequence[Callable[[float], None]]
) -> AsyncIterator[AudioChunk]:
    """Starts the schedule when the source is first asked: that is when the first chunk's audio begins."""
    now = time.monotonic()
    for each in begin:
        each(now)
    async for chunk in source:
        yield chunk

"""The same replay over real sockets: a real server, a real WebSocket, a proxy that executes the faults."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import httpx

from rtstt_lab.client.sources import AudioChunk, real_time
from rtstt_lab.client.streaming import Observer, StreamingClient
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.proxy import FaultProxy
from rtstt_lab.replay.virtual import Replayed


async def replay_in_real_time(
    chunks: Sequence[AudioChunk],
    url: str,
    *,
    token: str | None = None,
    model: str | None = None,
    language: str | None = None,
    faults: FaultSchedule | None = None,
    seed: int = 0,
    client_settings: ClientSettings | None = None,
    process_cpu_s: Callable[[], float] | None = None,
    observers: Sequence[Observer] = (),
) -> Replayed:
    """Streams a recording to a session's end, at the pace of speech.

    Args:
        chunks: of one recorder, in order.
        url: of the server.
        token: opens it.
        model: the server's own if not given.
        language: ISO 639-1 code; ``None`` is detection.
        faults: what the link suffers; without any the client talks to the server directly.
        seed: of the link's jitter.
        client_settings: of the client's patience.
        process_cpu_s: reads the CPU seconds of the server's process tree.
        observers: told every event of the session.

    Raises:
        RtsttError: no session could be made; what fails later is in the result.
    """
    async with AsyncExitStack() as stack:
        source = real_time(chunks)
        if faults is not None and faults.faults:
            address = httpx.URL(url)
            port = address.port or 80
            proxy = await stack.enter_async_context(FaultProxy(address.host, port, faults, seed=seed))
            url, source = proxy.url, _announced(source, proxy)
        client = StreamingClient(
            url, token=token, model=model, language=language, settings=client_settings, observers=observers
        )
        before_s = process_cpu_s() if process_cpu_s else math.nan
        result = await client.run(source)
        return Replayed(result, (process_cpu_s() if process_cpu_s else math.nan) - before_s)


async def _announced(source: AsyncIterator[AudioChunk], proxy: FaultProxy) -> AsyncIterator[AudioChunk]:
    """Starts the schedule when the source is first asked: that is when the first chunk's audio begins."""
    proxy.begin(time.monotonic())
    async for chunk in source:
        yield chunk

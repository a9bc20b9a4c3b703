"""The proxy on real sockets: passes bytes on, breaks, refuses, delays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from rtstt_lab.replay.faults import Cut, Delay, FaultSchedule
from rtstt_lab.replay.proxy import FaultProxy
from rtstt_lab.replay.tampering import Happened


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_clean_link_passes_everything_on(echo: int) -> None:
    """A megabyte comes back whole, and the end of the stream passes through both ways."""
    async with FaultProxy("127.0.0.1", echo, FaultSchedule()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        payload = bytes(range(256)) * 4096
        writer.write(payload)
        assert await reader.readexactly(len(payload)) == payload
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_cut_breaks_and_refuses_until_it_is_over(echo: int) -> None:
    """What is open breaks, a new connection breaks at once, and after the cut one works again."""
    now_s = 0.0
    schedule = FaultSchedule.of(Cut(at_s=0.0, duration_s=5.0))
    async with FaultProxy("127.0.0.1", echo, schedule, clock=lambda: now_s) as proxy:
        before = await asyncio.open_connection("127.0.0.1", proxy.port)
        before[1].write(b"a")
        assert await before[0].readexactly(1) == b"a"
        proxy.begin(0.0)
        assert await broken(before[0])
        during = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await broken(during[0])
        now_s = 5.0
        after = await asyncio.open_connection("127.0.0.1", proxy.port)
        after[1].write(b"b")
        assert await after[0].readexactly(1) == b"b"
        for _, writer in (before, during, after):
            writer.close()


async def test_what_meets_nothing_has_not_happened(echo: int) -> None:
    """A cut while no connection is open and a delay while nothing is sent are not told."""
    now_s = 0.0
    cuts = [Cut(at_s=0.0, duration_s=1.0), Cut(at_s=0.0, duration_s=2.0)]
    slow = [Delay(at_s=at_s, duration_s=1.0, delay_s=0.001) for at_s in (10.0, 20.0)]
    schedule = FaultSchedule.of(cuts[0], *slow, after_stop=cuts[1:])
    async with FaultProxy("127.0.0.1", echo, schedule, clock=lambda: now_s) as proxy:
        proxy.begin(0.0)
        await asyncio.sleep(0)
        assert proxy.happened == []
        now_s = 20.5
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        assert proxy.happened == [Happened(slow[1], 20.0, 21.0)]
        now_s = 30.0
        proxy.stopped()
        assert await broken(reader)
        assert proxy.happened == [Happened(slow[1], 20.0, 21.0), Happened(cuts[1], 30.0, 32.0)]
        proxy.stopped()
        writer.close()


async def test_stop_may_come_before_any_audio(echo: int) -> None:
    """The link stays clean; if audio begins after all, what was to follow stop follows from there."""
    now_s = 10.0
    cut = Cut(at_s=0.0, duration_s=2.0)
    schedule = FaultSchedule.of(after_stop=[cut])
    async with FaultProxy("127.0.0.1", echo, schedule, clock=lambda: now_s) as proxy:
        proxy.stopped()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        assert proxy.happened == []
        proxy.begin(10.0)
        assert await broken(reader)
        assert proxy.happened == [Happened(cut, 0.0, 2.0)]
        writer.close()


async def test_a_delay_holds_bytes_back(echo: int) -> None:
    """There and back takes at least twice the one-way delay."""
    schedule = FaultSchedule.of(Delay(at_s=0, duration_s=60, delay_s=0.05))
    async with FaultProxy("127.0.0.1", echo, schedule) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a")
        await reader.readexactly(1)
        proxy.begin(time.monotonic())
        began_s = time.monotonic()
        writer.write(b"b")
        await reader.readexactly(1)
        assert time.monotonic() - began_s >= 0.1
        writer.close()


async def test_a_server_that_is_not_there_breaks_the_connection() -> None:
    """The client sees a broken connection, not silence."""
    gone = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = gone.sockets[0].getsockname()[1]
    gone.close()
    await gone.wait_closed()
    async with FaultProxy("127.0.0.1", port, FaultSchedule()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await broken(reader)
        writer.close()


async def broken(reader: asyncio.StreamReader) -> bool:
    """Waits for the end of a stream."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True

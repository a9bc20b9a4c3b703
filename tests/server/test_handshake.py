"""Encryption that never comes about: bounded in number and time, over real sockets that say nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trustme

from rtstt_lab.server.handshake import Handshake
from rtstt_lab.server.quotas import Quotas
from rtstt_lab.server.settings import LimitSettings


class Echo(asyncio.Protocol):
    """Says everything again."""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._transport.write(data)


@pytest.fixture
def contexts():
    """The server's, and that of a client who believes it."""
    authority = trustme.CA()
    serving, asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(asking)
    return serving, asking


@asynccontextmanager
async def listening(context, limit_s=60.0, quotas=None, **limits):
    quotas = quotas or Quotas(LimitSettings(**limits))
    shake = partial(Handshake, protocol=Echo, context=context, quotas=quotas, limit_s=limit_s)
    server = await asyncio.get_running_loop().create_server(shake, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], quotas


@asynccontextmanager
async def connected(port, address="127.0.0.1", **options):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0), **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def until(true):
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - counts tell nobody
            await asyncio.sleep(0.005)


async def gone(reader):
    """What came before the end."""
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""


async def echoed(port, context, address="127.0.0.1", said=b"hello"):
    async with connected(port, address, ssl=context, server_hostname="localhost") as (reader, writer):
        writer.write(said)
        return await asyncio.wait_for(reader.readexactly(len(said)), 30)


@pytest.mark.requirement("S3", "S4")
async def test_a_handshake_ends_in_time(contexts):
    """Who says nothing, only begins, or speaks no TLS is dropped, and counts no longer."""
    serving, asking = contexts
    quotas = Quotas(LimitSettings(max_connections_per_ip=1))
    async with listening(serving, 0.2, quotas) as (port, _):
        for said in (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"):
            async with connected(port) as (reader, writer):
                writer.write(said)
                await gone(reader)
            await until(lambda: not quotas._handshakes)
    async with listening(serving, quotas=quotas) as (port, _):
        assert await echoed(port, asking) == b"hello"


@pytest.mark.requirement("S3", "S4")
async def test_handshakes_are_counted_before_they_succeed(contexts):
    """One address holds so many at most, all together so many; the others get through meanwhile."""
    serving, asking = contexts
    async with listening(serving, max_connections=5, max_connections_per_ip=3) as (port, quotas):
        async with AsyncExitStack() as silent:
            for _ in range(3):
                await silent.enter_async_context(connected(port, "127.0.0.5"))
            await until(lambda: quotas._handshakes.total() == 3)
            async with connected(port, "127.0.0.5") as (reader, _):
                assert await gone(reader) == b""
            assert await echoed(port, asking) == b"hello"
            for _ in range(2):
                await silent.enter_async_context(connected(port, "127.0.0.6"))
            await until(lambda: quotas._handshakes.total() == 5)
            async with connected(port, "127.0.0.7") as (reader, _):
                assert await gone(reader) == b""
        await until(lambda: not quotas._handshakes)
        assert await echoed(port, asking, "127.0.0.5") == b"hello"


@pytest.mark.requirement("S3")
async def test_nothing_is_lost_behind_a_handshake(contexts):
    """What a client sends with the end of its handshake arrives, all of it and in order."""
    serving, asking = contexts
    said = bytes(range(256)) * 2_000
    async with listening(serving) as (port, _):
        for _ in range(20):
            assert await echoed(port, asking, said=said) == said

"""Peers that mean harm, over real sockets: each costs bounded time and memory, and the others go on."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count, repeat

import httpx
import psutil
import pytest

from .talk import TOKEN, frame, running

SESSIONS = "/api/streaming/sessions"


@pytest.fixture(scope="module")
def fortress(tmp_path_factory):
    """A server with narrow limits; each test comes from an address of its own."""
    with running(
        tmp_path_factory.mktemp("fortress"),
        *("--max-requests-per-min", "40", "--max-new-sessions-per-min", "3"),
        *("--max-connections-per-ip", "12", "--trusted-proxy", "127.0.9.0/24"),
        *("--max-viewers", "1", "--max-unread-bytes", "100000", "--max-sessions", "100"),
    ) as server:
        yield server


def megabytes(server):
    return psutil.Process(server.process.pid).memory_info().rss / 2**20


def cpu_s(server):
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def ask(server, method, path, address, **headers):
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, timeout=60) as client:
        known = {"Authorization": f"Bearer {TOKEN}"} | headers
        return client.request(method, f"{server.url}{path}", headers=known)


def create(server, address):
    answer = ask(server, "POST", SESSIONS, address)
    assert answer.status_code == 201, answer.text
    return answer.json()


@asynccontextmanager
async def raw(server, address, **options):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, local_addr=(address, 0), **options
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def upgraded(server, reader, writer, session_id, route="ws"):
    """Shakes hands by hand."""
    writer.write(
        f"GET {SESSIONS}/{session_id}/{route} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head.split(b"\r\n")[0]


def packed(opcode, payload, *, fin=True):
    """A client's frame, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


async def pour(writer, data):
    """Sends the same again and again until the connection is dropped."""
    async with asyncio.timeout(90):
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()
    raise ConnectionError


async def drip(reader, writer, head, drop=b"x"):
    """Sends a beginning and then ever more of nothing; returns when it was cut off."""
    writer.write(head)
    began = time.monotonic()
    reading = asyncio.create_task(reader.read())
    while not reading.done():
        if drop and not writer.is_closing():
            writer.write(drop)
        await asyncio.wait([reading], timeout=0.5)
    assert not isinstance(reading.exception(), AssertionError)
    return time.monotonic() - began


@pytest.mark.requirement("S4", "O3", "S1")
async def test_whoever_never_comes_to_an_end_is_cut_off(fortress):
    """Endless heads, bodies behind an answer, sockets without hello, messages without end: all are ended."""
    made, address = create(fortress, "127.0.1.1"), "127.0.1.1"
    hello = packed(1, json.dumps({"type": "client:hello", "token": made["session_token"]}).encode())

    async def plain(head, drop):
        async with raw(fortress, address) as (reader, writer):
            return await drip(reader, writer, head, drop)

    async def socket(first, drop, route="ws"):
        async with raw(fortress, address) as (reader, writer):
            await upgraded(fortress, reader, writer, made["session_id"], route)
            return await drip(reader, writer, first, drop)

    attacks = asyncio.gather(
        plain(b"", b""),
        plain(b"", b"G"),
        plain(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Endless: ", b"y"),
        plain(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n", b"z"),
        socket(b"", b""),
        socket(b"", b"", route="events"),
        socket(hello + b"\x82\xff" + (1_000_000).to_bytes(8, "big") + bytes(4), b"x"),
    )
    while not attacks.done():
        answer = await asyncio.to_thread(ask, fortress, "GET", "/healthz", "127.0.1.2")
        assert answer.status_code in {200, 429}
        await asyncio.wait([attacks], timeout=1.0)
    assert max(await attacks) < 30


@pytest.mark.requirement("S4", "O3", "S1")
async def test_a_message_of_endless_fragments_is_dropped(fortress):
    """A limit in bytes says nothing of empty fragments: their number is bounded, too."""
    made = create(fortress, "127.0.1.3")
    before = megabytes(fortress)
    async with raw(fortress, "127.0.1.3") as (reader, writer):
        await upgraded(fortress, reader, writer, made["session_id"])
        writer.write(packed(2, b"", fin=False))
        with pytest.raises(ConnectionError):
            await pour(writer, packed(0, b"", fin=False) * 1_000)
    assert megabytes(fortress) - before < 30


@pytest.mark.requirement("S4", "O3")
@pytest.mark.parametrize("flood", ["pings", "chunks"])
async def test_a_peer_that_never_reads_is_dropped(fortress, flood):
    """Answers that nobody takes are bounded, and their connection is dropped, pings and acks alike."""
    address = {"pings": "127.0.1.4", "chunks": "127.0.1.5"}[flood]
    made = create(fortress, address)
    before = megabytes(fortress)
    async with raw(fortress, address, limit=2**12) as (reader, writer):
        await upgraded(fortress, reader, writer, made["session_id"])
        hello = {"type": "client:hello", "token": made["session_token"]}
        writer.write(packed(1, json.dumps(hello).encode()))
        chunk = packed(2, frame(0, b"", duration_ms=0))
        flooding = packed(9, b"p" * 125) * 100 if flood == "pings" else chunk * 100
        writer.transport.pause_reading()
        with pytest.raises(ConnectionError):
            await pour(writer, flooding)
    assert megabytes(fortress) - before < 40
    assert ask(fortress, "GET", "/healthz", address).status_code == 200


@pytest.mark.requirement("S1", "O3")
@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 900_000,
        '{"type":"client:ack","event":0,"x":' + "[" * 400_000 + "]" * 400_000 + "}",
        '{"type":"client:hello","token":"x","held":[' + "0," * 900_000 + "0]}",
        '{"type":"client:ack","event":' + "9" * 1_000_000 + "}",
        '{"type":"client:control","action":"' + "\\u0000" * 300_000 + '","n":1,"at_seq":0}',
    ],
    ids=["open", "deep", "million", "number", "escapes"],
)
async def test_json_bombs_are_refused_and_the_session_goes_on(server, bomb):
    """Depth, length and size cost milliseconds and an error; the link is kept (a first offence)."""
    made = server.create()
    before = megabytes(server)
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        began_s = cpu_s(server)
        await talk.socket.send(bomb)
        error = await talk.until("server:error")
        assert error["code"] in {"frame_malformed", "lifecycle"}
        assert not error.get("fatal")
        assert cpu_s(server) - began_s < 5
        await talk.send(type="client:ping", sent_ms=7)
        assert (await talk.until("server:pong"))["sent_ms"] == 7
    assert megabytes(server) - before < 60
    server.rest("DELETE", f"/{made['session_id']}")


@pytest.mark.requirement("S4")
async def test_one_address_cannot_take_all_connections(fortress):
    """Over its number of connections an address is told so; another is served."""
    async with AsyncExitStack() as held:
        for _ in range(12):
            await held.enter_async_context(raw(fortress, "127.0.1.6"))
        refused = await asyncio.to_thread(ask, fortress, "GET", "/healthz", "127.0.1.6")
        other = await asyncio.to_thread(ask, fortress, "GET", "/healthz", "127.0.1.7")
    assert refused.status_code == 429
    assert refused.json()["code"] == "limit_address"
    assert "12" in refused.json()["message"]
    assert int(refused.headers["Retry-After"]) > 0
    assert other.status_code == 200


@pytest.mark.requirement("S4")
def test_requests_and_new_sessions_of_an_address_are_limited(fortress):
    """The refusal names the limit and when to try again; other addresses are not touched."""
    made = [ask(fortress, "POST", SESSIONS, "127.0.1.8")]
    while made[-1].is_success:  # a slow machine is given some more meanwhile
        made.append(ask(fortress, "POST", SESSIONS, "127.0.1.8"))
    full = made[-1]
    assert len(made) > 3
    assert (full.status_code, full.json()["code"]) == (429, "limit_new_sessions")
    assert 0 < full.json()["retry_after_s"] <= 20
    assert int(full.headers["Retry-After"]) > 0
    create(fortress, "127.0.1.9")
    transport = httpx.HTTPTransport(local_address="127.0.1.10")
    with httpx.Client(base_url=fortress.url, transport=transport, timeout=60) as client:
        answers = [client.get("/healthz")]
        while answers[-1].is_success:  # a slow machine is given some more meanwhile
            answers.append(client.get("/healthz"))
    assert len(answers) > 40
    assert answers[-1].json()["code"] == "limit_requests"
    assert 0 < answers[-1].json()["retry_after_s"] <= 1.5


@pytest.mark.requirement("S4", "S3")
def test_only_a_trusted_proxy_is_believed_about_addresses(fortress):
    """Who forges X-Forwarded-For is counted by its own address; behind the proxy each counts alone."""

    def until_refused(address, forwarded):
        """What the last one is told; a slow machine is given some more meanwhile."""
        answers = []
        while not answers or answers[-1].is_success:
            headers = {"X-Forwarded-For": next(forwarded)}
            answers.append(ask(fortress, "POST", SESSIONS, address, **headers))
        assert len(answers) > 3
        return answers[-1].json()["code"]

    forged = (f"10.0.0.{n}" for n in count())
    assert until_refused("127.0.1.11", forged) == "limit_new_sessions"
    assert until_refused("127.0.9.1", repeat("10.0.1.1")) == "limit_new_sessions"
    assert ask(fortress, "POST", SESSIONS, "127.0.9.1", **{"X-Forwarded-For": "10.0.1.2"}).is_success
    spoofed = (f"10.0.2.{n}, 10.0.1.3" for n in count())  # the proxy's own word is the last
    assert until_refused("127.0.9.1", spoofed) == "limit_new_sessions"


@pytest.mark.requirement("S4")
async def test_viewers_are_limited(fortress):
    """One more viewer than allowed is told so, with the code for limits; the first goes on."""
    made = create(fortress, "127.0.1.12")
    path = "events?after=0"
    options = {"local_addr": ("127.0.1.12", 0)}
    async with (
        fortress.socket(made["session_id"], path, **options) as first,
        fortress.socket(made["session_id"], path, **options) as second,
        fortress.socket(made["session_id"], **options) as talk,
    ):
        await first.send(type="client:hello", token=made["session_token"])
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await first.until("server:status")
        await second.send(type="client:hello", token=made["session_token"])
        error = await second.until("server:error")
        assert (error["code"], error["fatal"], error["retryable"]) == ("limit_viewers", True, True)
        assert error["retry_after_ms"] > 0
        assert await second.close_code() == 4429
        await talk.control("pause", 0)
        await first.until("server:status", phase="paused")

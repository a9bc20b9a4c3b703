"""What is no server of this protocol, or keeps its examiner waiting: named in the table, within bounds."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from rtstt_lab.client import probe
from rtstt_lab.lab.conformance import report, run
from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.lab.conformance.run import chosen, examine
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.registry import SessionRegistry

from .conftest import IMPATIENT, PATIENT

HURRIED = replace(IMPATIENT, answer_s=0.5)
ENDLESS = {"silent", "dripping"}
"""Who is waited for in vain: that is to be over soon. The others are given their time."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"
MOST_BYTES = 200_000


async def silent(reader, writer):
    """Accepts, and never says a word."""
    await asyncio.Event().wait()


async def closing(reader, writer):
    """Closes at once."""


async def html(reader, writer):
    """Is some other web server, which shows its page whatever it is asked for."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK % b"text/html" + b"<html>[red]Please log in</html>")


async def dripping(reader, writer):
    """Begins an answer that has no end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK % b"application/json")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flooding(reader, writer):
    """Sends more than anybody can keep."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK % b"application/json")
    while not writer.is_closing():
        writer.write(bytes(50_000))
        await writer.drain()


async def nesting(reader, writer):
    """Sends JSON that breaks parsers."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK % b"application/json" + b"[" * 100_000)


async def garbling(reader, writer):
    """Speaks another protocol altogether."""
    writer.write(b"220 mail.example ESMTP\r\n" * 10)


@asynccontextmanager
async def listening(talk):
    """Such a server's address."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def shown(examination, language="en"):
    """The table as a person reads it."""
    written = io.StringIO()
    Console(width=1_000, file=written).print(report.table(examination, language))
    return written.getvalue()


@pytest.mark.requirement("S1")
@pytest.mark.parametrize(
    ("talk", "expected", "came"),
    [
        (silent, "GET /api/streaming/sessions", "0.5 s"),
        (closing, "GET /api/streaming/sessions", "https://"),
        (garbling, "GET /api/streaming/sessions", "https://"),
        (html, "{sessions: […]}", "HTTP 200 <html>[red]Please log in"),
        (dripping, "GET /api/streaming/sessions", "0.5 s"),
        (flooding, "GET /api/streaming/sessions", f"> {MOST_BYTES} B"),
        (nesting, "{sessions: […]}", "HTTP 200 [[[["),
    ],
)
async def test_what_does_not_answer_is_named_and_left(talk, expected, came, speech, monkeypatch):
    """Its one failed check says what came instead; nothing else is asked, whichever checks were chosen."""
    monkeypatch.setattr(probe, "MAX_BYTES", MOST_BYTES)
    patience = HURRIED if talk.__name__ in ENDLESS else replace(PATIENT, answer_s=60.0)
    for checks in (CHECKS, chosen(["R7.credit"])):
        async with asyncio.timeout(90), listening(talk) as url:
            examination = await examine(url, token="x", speech=speech, checks=checks, patience=patience)
        first, *others = examination.outcomes
        assert (first.check.id, first.verdict) == ("REST.answers", "failed")
        assert {outcome.check for outcome in others} == set(checks) - {first.check}
        assert {(o.verdict, o.got.say("en")) for o in others} == {
            ("skipped", "not examined: REST.answers has failed")
        }
        assert not examination.passed
        assert expected in shown(examination)
        assert came in shown(examination)


def another_version(patch):
    """Everything as ever, under another name."""
    send, create = ServerLinks.send, SessionRegistry.create

    def renamed(self, message):
        if isinstance(message, wire.SessionCreated):
            message = msgspec.structs.replace(message, protocol="rtstt.v2")
        send(self, message)

    async def made(self, *arguments, **options):
        return msgspec.structs.replace(await create(self, *arguments, **options), protocol="rtstt.v2")

    patch(ServerLinks, "send", renamed)
    patch(SessionRegistry, "create", made)


def deaf_sockets(patch):
    """Sockets open, and nothing is ever heard from them."""
    patch(SessionHost, "receive", lambda self, frame, link: None)


@pytest.mark.parametrize(
    ("breaks", "failing", "expected"),
    [
        (another_version, {"F.answers", "REST.create"}, 'server:session_created protocol="rtstt.v1"'),
        (deaf_sockets, {"F.answers"}, "server:session_created"),
    ],
)
async def test_sockets_that_speak_something_else_are_left(breaks, failing, expected, examined, monkeypatch):
    """The calls are examined all the same; what needs a socket is not, and that for a reason."""
    breaks(monkeypatch.setattr)
    outcomes = await examined("REST.create", "REST.health", "F", "7", "11", patience=IMPATIENT)
    assert {name for name, outcome in outcomes.items() if outcome.verdict == "failed"} == failing
    assert outcomes["F.answers"].expected == expected
    assert outcomes["REST.health"].verdict == "passed"
    assert {o.verdict for o in outcomes.values() if o.check.rule != "REST"} == {"failed", "skipped"}
    assert outcomes["R7.credit"].got.say("es") == "sin examinar: F.answers ha fallado"


async def test_an_examination_ends(examined, monkeypatch):
    """What has not begun when the time is over is not examined, and said so."""
    monkeypatch.setattr(run, "_WHOLE_S", 0.0)
    outcomes = await examined("7")
    assert {(o.verdict, o.got.say("en")) for o in outcomes.values()} == {
        ("skipped", "not examined: 0 minutes were over")
    }

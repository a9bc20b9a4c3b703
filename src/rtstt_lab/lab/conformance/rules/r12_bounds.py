"""Rule 12: bounds on everything, and no compression."""

from __future__ import annotations

import json
import struct
from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import SESSIONS, Subject, expect_status
from rtstt_lab.protocol import messages as wire

_FAR: Final = 10_000
_BUTTONS: Final = 64


@check("R12.frame_bound")
async def frame_bound(subject: Subject) -> None:
    """A frame beyond the transport's limit ends the link, and only the link."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.socket.send(bytes(wire.MAX_MESSAGE_BYTES + 1_000))
        await talk.ends(4413, 1009)
        await session.resume(created.sync.token)


@check("R12.header_bound")
async def header_bound(subject: Subject) -> None:
    """A header that is longer than allowed, or than its frame, is an offence like others."""
    async with subject.session() as session:
        talk = await session.recording()
        payload = audio.tone()
        padded = audio.header(0, payload, note="x" * wire.MAX_HEADER_BYTES)
        for frame in (audio.binary(padded, payload), struct.pack("<I", 2**31) + b"{}"):
            talk.turn()
            await talk.raw(frame)
            await talk.until(wire.ServerError, fatal=False)
        await talk.chunk(0, payload)
        talk.expect(await talk.until(wire.ServerAck, seq=0, next_seq=1), missing=())


@check("R12.nesting")
async def nesting(subject: Subject) -> None:
    """Deeply nested JSON is an offence like others."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        for opening in ("[", '{"type":', '{"a":'):
            talk.turn()
            await talk.raw(opening * 50_000)
            await talk.until(wire.ServerError, fatal=False)
        await talk.alive()


@check("R12.numbers")
async def numbers(subject: Subject) -> None:
    """Numbers beyond their bounds, and what is none, are offences like others."""
    async with subject.session() as session:
        talk = await session.recording()
        payload = audio.tone()
        for wrong in ({"seq": -1}, {"seq": 2**40}, {"seq": "0"}, {"duration_ms": 10**9}, {"crc32": 2**33}):
            talk.turn()
            await talk.raw(audio.binary(audio.header(0, payload) | wrong, payload))
            await talk.until(wire.ServerError, fatal=False)
        await talk.chunk(0, payload)
        talk.expect(await talk.until(wire.ServerAck, seq=0, next_seq=1), missing=())


@check("R12.window")
async def window(subject: Subject) -> None:
    """A chunk far ahead is not waited for, and never more than 64 numbers are asked for."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        await talk.chunk(_FAR, audio.tone())
        await talk.until(wire.ServerError, fatal=False)
        await talk.chunk(200, audio.tone())
        ack = await talk.until(wire.ServerAck, seq=200)
        talk.expect(ack, next_seq=1)
        if not 0 < len(ack.missing) <= wire.MAX_MISSING or ack.missing[0] != 1:
            raise talk.unmet(f"missing=[1, …] (≤{wire.MAX_MISSING})", ack)


@check("R12.body_bound")
async def body_bound(subject: Subject) -> None:
    """A body without end is not taken."""
    body = json.dumps({"prompt": "x" * 4_000_000}).encode()
    answer = await subject.request("POST", SESSIONS, token=subject.token, content=body)
    if answer.status == 201:
        await subject.discard(answer.json()["session_id"], answer.json().get("session_token"))
    expect_status(answer, "POST 4 MB", 413, 422, 400)


@check("R12.no_compression")
async def no_compression(subject: Subject) -> None:
    """Compression is not agreed to, though it is offered."""
    async with subject.session() as session:
        talk = await session.open(compression=True)
        if agreed := talk.socket.extensions:
            raise Unmet("Sec-WebSocket-Extensions: –", phrase("got", text=agreed))


@check("R12.buttons")
async def buttons(subject: Subject) -> None:
    """64 buttons at once are taken, and two a second; the others wait until they come again."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        begun_s = subject.probe.clock()
        await talk.start()
        for number in range(2, 3 * _BUTTONS):
            await talk.control("flush", 0, n=number)
        await talk.chunk(0)
        ack = await talk.until(wire.ServerAck, seq=0)
        most = _BUTTONS + 2 * (subject.probe.clock() - begun_s) + 1
        if not 1 < ack.controls <= most:
            raise talk.unmet(f"1<controls≤{most:.0f}", ack)
        await talk.alive()


CHECKS: Final = (frame_bound, header_bound, nesting, numbers, window, buttons, body_bound, no_compression)

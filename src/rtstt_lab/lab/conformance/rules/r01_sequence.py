"""Rule 1: sequence. Each chunk once, in order; what is damaged or missing is asked for; then it is a hole."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, check, phrase
from rtstt_lab.lab.conformance.recorder import WEBM, recorded
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.lab.conformance.words import judge_times
from rtstt_lab.protocol import messages as wire

_HOLE_MS: Final = 2_000


@check("R1.duplicate")
async def duplicate(subject: Subject) -> None:
    """A number seen before is acknowledged again, and counted as a duplicate."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()] * 2)
        talk.turn()
        await talk.chunk(1, audio.tone())
        again = await talk.until(wire.ServerAck, seq=1)
        talk.expect(again, next_seq=2, received=wire.Received(accepted=2, duplicate=1))
        talk.turn()
        await talk.chunk(2)
        talk.expect(await talk.until(wire.ServerAck, seq=2), next_seq=3)


@check("R1.gap_asked_for")
async def gap_asked_for(subject: Subject) -> None:
    """What is missing is asked for; once it is here, all goes on in order."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        await talk.chunk(3)
        talk.expect(await talk.until(wire.ServerAck, seq=3), next_seq=1, missing=(1, 2))
        await talk.chunk(2)
        talk.expect(await talk.until(wire.ServerAck, seq=2), next_seq=1, missing=(1,))
        await talk.chunk(1)
        whole = await talk.until(wire.ServerAck, seq=1)
        talk.expect(whole, next_seq=4, missing=(), received=wire.Received(accepted=4))


@check("R1.gap_becomes_hole")
async def gap_becomes_hole(subject: Subject) -> None:
    """What stays missing becomes a hole of its length, told as lost by a numbered error."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()])
        await talk.chunk(2, audio.tone())
        lost = await talk.until(
            wire.ServerError, "event>0", lambda error: error.event > 0, seq=1, within_s=subject.patience.gap_s
        )
        if lost.fatal:
            raise talk.unmet("server:error fatal=false", lost)
        await talk.until(wire.ServerAck, "received.lost=1", lambda ack: ack.received.lost == 1)
        await talk.socket.drop()
        talk, sync = await session.resume(created.sync.token)
        if sync.next_seq != 3 or not 650 <= sync.audio_ms <= 850:
            got = phrase("got", text=f"sync.next_seq={sync.next_seq} sync.audio_ms={sync.audio_ms}")
            raise Unmet("sync={next_seq: 3, audio_ms: 750}", got)


@check("R1.given_up")
async def given_up(subject: Subject) -> None:
    """A chunk that the client has no more is a header marked as lost: a hole, and no waiting."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        await talk.chunk(1, b"", lost=True, duration_ms=audio.CHUNK_MS, crc32=0)
        hole = await talk.until(wire.ServerAck, seq=1)
        talk.expect(hole, next_seq=2, missing=())
        if hole.received.lost != 1:
            raise talk.unmet("server:ack received.lost=1", hole)


@check("R1.hole_keeps_time")
async def hole_keeps_time(subject: Subject) -> None:
    """The words behind a hole stand at their true times."""
    async with subject.session(language="en") as session:
        talk = await session.recording()
        for seq in range(_HOLE_MS // audio.CHUNK_MS):
            await talk.chunk(seq, b"", lost=True, duration_ms=audio.CHUNK_MS, crc32=0)
        first = _HOLE_MS // audio.CHUNK_MS
        spoken = list(audio.pieces(subject.speech[: 2 * 16 * 4_000]))
        await talk.control("stop", await talk.say(spoken, first))
        await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        judge_times(talk.of(wire.TranscriptionFinal), sample_from_ms=_HOLE_MS)


@check("R1.checksum")
async def checksum(subject: Subject) -> None:
    """A payload that its CRC-32 does not fit is rejected and asked for again."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        payload = audio.tone()
        await talk.chunk(1, payload, crc32=1)
        await talk.until(wire.ServerError, fatal=False)
        await talk.until(wire.ServerAck, missing=(1,), next_seq=1)
        await talk.chunk(1, payload)
        talk.expect(await talk.until(wire.ServerAck, seq=1, next_seq=2), missing=())


@check("R1.length")
async def length(subject: Subject) -> None:
    """A payload of another length than announced is rejected and asked for again."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        payload = audio.tone()
        await talk.chunk(1, payload, bytes=len(payload) - 2)
        await talk.until(wire.ServerError, fatal=False)
        await talk.chunk(2, payload)
        talk.expect(await talk.until(wire.ServerAck, seq=2), next_seq=1, missing=(1,))
        await talk.chunk(1, payload)
        talk.expect(await talk.until(wire.ServerAck, seq=1, next_seq=3), missing=())


@check("R1.damaged_container")
async def damaged_container(subject: Subject) -> None:
    """Damage within a container takes the time that it took; what follows is heard."""
    async with subject.session(language="en") as session:
        talk = await session.recording()
        spoken = subject.speech[: 2 * 16 * 4_000] + audio.silence(2_000)
        spoken += audio.another_sentence(subject.speech, 3_500)
        payloads = await asyncio.to_thread(recorded, WEBM, spoken)
        for broken in range(4_250 // audio.CHUNK_MS, 5_500 // audio.CHUNK_MS):
            payloads[broken] = b"\xff" * len(payloads[broken])  # of chance some would be heard as noise
        await talk.control("stop", await talk.say(payloads, mime=WEBM))
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        received = completed.summary.received
        if received.accepted != len(payloads) or received.lost:
            raise talk.unmet(f"received={{accepted: {len(payloads)}, lost: 0}}", completed)
        judge_times(talk.of(wire.TranscriptionFinal), sample_from_ms=6_000, after_ms=4_500)


@check("R1.undecodable")
async def undecodable(subject: Subject) -> None:
    """Right bytes that are no audio are told as an error that is not fatal, and the session goes on."""
    async with subject.session() as session:
        talk = await session.recording()
        noise = [os.urandom(2_000) for _ in range(8)]
        await talk.say(noise, mime="audio/webm;codecs=opus", duration_ms=audio.CHUNK_MS)
        error = await talk.until(wire.ServerError, within_s=subject.patience.recognition_s)
        if error.fatal:
            raise talk.unmet("server:error fatal=false", error)
        following = await talk.say([audio.tone()] * 2, 8, stream=1)
        talk.expect(talk.of(wire.ServerAck)[-1], next_seq=following)
        await talk.alive()


@check("R1.unknown_format")
async def unknown_format(subject: Subject) -> None:
    """Audio whose format was never told, or is not accepted, is a hole; the next recorder is heard."""
    async with subject.session() as session:
        talk = await session.recording()
        for seq, mime in enumerate((None, "audio/mpeg")):
            await talk.chunk(seq, audio.tone(), stream=seq, mime=mime)
            talk.expect(await talk.until(wire.ServerAck, seq=seq), next_seq=seq + 1, missing=())
            await talk.until(wire.ServerError, "event>0", lambda error: error.event > 0, seq=seq, fatal=False)
        await talk.chunk(2, audio.tone(), stream=2)
        heard = await talk.until(wire.ServerAck, seq=2)
        if (heard.received.accepted, heard.received.lost) != (1, 2):
            raise talk.unmet("received={accepted: 1, lost: 2}", heard)


CHECKS: Final = (
    duplicate,
    gap_asked_for,
    gap_becomes_hole,
    given_up,
    hole_keeps_time,
    checksum,
    length,
    damaged_container,
    unknown_format,
    undecodable,
)

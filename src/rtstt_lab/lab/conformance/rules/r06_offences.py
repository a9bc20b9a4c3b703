"""Rule 6: first offences keep the link; ten a minute end it; what is too large is lost for good."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import check
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.protocol import messages as wire

_OFFENCES: Final = 10


@check("R6.first_offence")
async def first_offence(subject: Subject) -> None:
    """A frame that cannot be read is answered with an error, and the link goes on."""
    async with subject.session() as session:
        talk = await session.recording()
        for frame in ("{no json", b"\x05", b"\xff\xff\xff\xffxyz", '"text"', "[]"):
            talk.turn()
            await talk.raw(frame)
            await talk.until(wire.ServerError, fatal=False)
        talk.expect(talk.of(wire.ServerError)[-1], event=0)
        await talk.chunk(0)
        talk.expect(await talk.until(wire.ServerAck, seq=0), next_seq=1)


@check("R6.ten_bad_frames")
async def ten_bad_frames(subject: Subject) -> None:
    """Nine within a minute are borne, the tenth is answered with the end of the link; the session stays."""
    async with subject.session() as session:
        talk, created = await session.connect()
        for _ in range(_OFFENCES - 1):
            await talk.raw("{no json")
        await talk.alive()
        await talk.raw("{no json")
        await talk.refused(4400)
        await session.resume(created.sync.token)


@check("R6.too_large")
async def too_large(subject: Subject) -> None:
    """A chunk over the limit is lost: told, not asked for again, and the numbers go on."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()])
        await talk.chunk(1, bytes(created.limits.max_chunk_bytes + 1), duration_ms=500)
        ack = await talk.until(wire.ServerAck, seq=1)
        talk.expect(ack, next_seq=2, missing=(), received=wire.Received(accepted=1, rejected=1, lost=1))
        await talk.until(wire.ServerError, "event>0", lambda error: error.event > 0, fatal=False)
        await talk.say([audio.tone()], 2)


CHECKS: Final = (first_offence, ten_bad_frames, too_large)

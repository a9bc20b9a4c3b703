"""Rule 9: pause, between two chunks and not when it happens to arrive."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.lab.conformance.talk import Talk
from rtstt_lab.protocol import messages as wire

_BREAK_MS: Final = 60_000


@check("R9.pause_at")
async def pause_at(subject: Subject) -> None:
    """A pause waits for the chunks below it, in whatever order they come."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        await talk.control("pause", 4)
        await talk.chunk(1, audio.tone())
        await talk.chunk(3, audio.tone())
        talk.expect(await talk.until(wire.ServerAck, seq=3), missing=(2,), controls=1)
        await talk.alive()
        if early := [status for status in talk.of(wire.Status) if status.phase == "paused"]:
            raise talk.unmet("–", early[0])
        await talk.chunk(2, audio.tone())
        await talk.until(wire.Status, phase="paused", controls=2)
        await talk.until(wire.ServerAck, next_seq=4)


@check("R9.settled")
async def settled(subject: Subject) -> None:
    """A pause settles what was said: its finals come without waiting for more audio."""
    async with subject.session(language="en") as session:
        talk = await session.recording()
        spoken = list(audio.pieces(subject.speech[: 2 * 16 * 3_500]))
        await talk.control("pause", await talk.say(spoken))
        await talk.until(wire.Status, phase="paused")
        await _settled(talk, subject)


@check("R9.flush")
async def flush(subject: Subject) -> None:
    """Flush has pending audio settled to finals, and the phase stays."""
    async with subject.session(language="en") as session:
        talk = await session.recording()
        spoken = list(audio.pieces(subject.speech[: 2 * 16 * 3_500]))
        await talk.control("flush", await talk.say(spoken))
        await _settled(talk, subject)
        if other := [status for status in talk.of(wire.Status) if status.phase != "recording"]:
            raise talk.unmet("phase=recording", other[0])


@check("R9.audio_never_comes", minutes=True)
async def audio_never_comes(subject: Subject) -> None:
    """A button whose audio does not come for half a minute takes effect all the same."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.control("pause", 5)
        await talk.until(wire.Status, phase="paused", controls=2, within_s=subject.patience.button_s)


@check("R9.clock_stops")
async def clock_stops(subject: Subject) -> None:
    """A pause takes no time on the audio clock."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.control("pause", await talk.say([audio.tone()] * 4))
        await talk.until(wire.Status, phase="paused")
        talk.turn()
        await talk.control("resume", 4)
        await talk.until(wire.Status, phase="recording")
        following = await talk.say([audio.tone()] * 4, 4, captured_ms=1_000 + _BREAK_MS)
        await talk.control("stop", following)
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        if completed.summary.duration_s != 2.0:
            raise talk.unmet("summary={duration_s: 2.0}", completed)


@check("R9.in_order")
async def in_order(subject: Subject) -> None:
    """Buttons take effect in the order of their numbers, however they come."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.control("resume", 0, n=3)
        await talk.control("pause", 0, n=4)
        await talk.alive()
        if early := [status for status in talk.of(wire.Status) if status.controls > 1]:
            raise talk.unmet("controls=1", early[0])
        await talk.control("pause", 0, n=2)
        await talk.until(wire.Status, phase="paused", controls=2)
        await talk.until(wire.Status, phase="recording", controls=3)
        await talk.until(wire.Status, phase="paused", controls=4)


async def _settled(talk: Talk, subject: Subject) -> None:
    """What was said has become final; a recognizer that heard no word at all is not judged."""
    try:
        await talk.until(wire.TranscriptionFinal, within_s=subject.patience.recognition_s)
    except Unmet:
        if not talk.of(wire.TranscriptionPartial):
            raise NotJudged(phrase("no_words")) from None
        raise


CHECKS: Final = (pause_at, settled, flush, audio_never_comes, clock_stops, in_order)

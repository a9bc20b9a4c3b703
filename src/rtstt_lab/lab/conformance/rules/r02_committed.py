"""Rule 2: committed. Words that stay; marks that say what may be forgotten, not too late nor too early."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import Session, Subject
from rtstt_lab.lab.conformance.talk import Talk
from rtstt_lab.protocol import messages as wire

_SILENCE_CHUNK_MS: Final = 500
_SPEECH_MS: Final = 8_000
_PACE: Final = 2.0
"""Speech is sent at twice its speed: fast, and still slow enough for partials to be made on its way."""


@check("R2.mark_moves_in_silence")
async def mark_moves_in_silence(subject: Subject) -> None:
    """The marks move while nobody speaks, and over holes, so that the client can forget silence."""
    async with subject.session() as session:
        talk = await session.recording()
        quiet = [audio.silence(_SILENCE_CHUNK_MS)]
        hole = await talk.say(quiet * 4)
        await talk.chunk(hole, b"", lost=True, duration_ms=_SILENCE_CHUNK_MS, crc32=0)
        following = await talk.say(quiet * 19, hole + 1)
        half = following // 2
        await talk.until(
            wire.ServerAck,
            f"committed_seq≥{half} resume_seq≥{half}",
            lambda ack: min(ack.committed_seq, ack.resume_seq) >= half,
            within_s=subject.patience.recognition_s,
        )


@check("R2.mark_behind_words")
async def mark_behind_words(subject: Subject) -> None:
    """No chunk is committed before every word that touches it is."""
    async with subject.session(language="en") as session:
        talk = await _reading(session)
        words = [word for final in talk.of(wire.TranscriptionFinal) for word in final.words]
        if not words:
            raise NotJudged(phrase("no_words"))
        promised: dict[int, int] = {}
        for message in (told.message for told in talk.told):
            match message:
                case wire.TranscriptionPartial(segment=segment, committed=committed):
                    promised[segment] = committed
                case wire.TranscriptionFinal(segment=segment, words=all_words):
                    promised[segment] = len(all_words)
                case wire.ServerAck(committed_seq=mark):
                    forgotten_ms = (mark - 1) * audio.CHUNK_MS
                    touched = sum(word.start_ms < forgotten_ms for word in words)
                    if sum(promised.values()) < touched:
                        raise talk.unmet(f"{touched} words committed before committed_seq={mark}", message)


@check("R2.committed_words_stay")
async def committed_words_stay(subject: Subject) -> None:
    """A committed word never changes, case and punctuation included."""
    async with subject.session(language="en") as session:
        talk = await _reading(session)
        kept: dict[int, list[str]] = {}
        for message in (told.message for told in talk.told):
            match message:
                case wire.TranscriptionPartial(segment=segment, words=words, committed=committed):
                    promised = [word.text for word in words[:committed]]
                case wire.TranscriptionFinal(segment=segment, words=words):
                    promised = [word.text for word in words]
                case _:
                    continue
            before = kept.get(segment, [])
            if promised[: len(before)] != before:
                raise talk.unmet(f"segment={segment} {before}", message)
            kept[segment] = promised
        if not any(kept.values()):
            raise NotJudged(phrase("no_words"))


@check("R2.text_comes")
async def text_comes(subject: Subject) -> None:
    """Speech becomes text: partials while it goes on, finals at its end, in the order of time."""
    async with subject.session(language="en") as session:
        talk = await _reading(session)
        finals = talk.of(wire.TranscriptionFinal)
        if not finals:
            raise Unmet("server:transcription_final", phrase("got", text="–"))
        starts = [word.start_ms for final in finals for word in final.words]
        if starts != sorted(starts) or len({final.segment for final in finals}) != len(finals):
            raise talk.unmet("start_ms in order, one final a segment", finals[-1])
        partials = talk.of(wire.TranscriptionPartial)
        if not partials:
            raise Unmet("server:transcription_partial", phrase("got", text="–"))
        views = [(partial.segment, partial.revision) for partial in partials]
        if views != sorted(set(views)):
            raise talk.unmet("(segment, revision) in order, each once", partials[-1])
        messages = [told.message for told in talk.told]
        # Other news, of a machine that is slow, say, may name the phase sooner.
        statuses = ((at, m.phase) for at, m in enumerate(messages) if isinstance(m, wire.Status))
        finalizing = max((at for at, phase in statuses if phase == "finalizing"), default=-1)
        if messages.index(finals[-1]) > finalizing:
            raise talk.unmet("server:transcription_final … server:status phase=finalizing", finals[-1])


@check("R2.marks_hold", when="afterwards")
async def marks_hold(subject: Subject) -> None:
    """In every conversation so far: marks never went back on a link, nor beyond what was ever received."""
    furthest: dict[str, int] = defaultdict(int)
    for talk in subject.talks:
        before = (0, 0, 0)
        for ack in talk.of(wire.ServerAck):
            # A session that was taken up again wants chunks once more that it had, committed ones too.
            received = furthest[talk.session_id] = max(furthest[talk.session_id], ack.next_seq)
            marks = (ack.next_seq, ack.committed_seq, ack.resume_seq)
            back = any(now < then for now, then in zip(marks, before, strict=True))
            if back or max(marks) > received:
                expected = "next_seq≥{}, committed_seq≥{}, resume_seq≥{}".format(*before)
                raise talk.unmet(f"{expected}, all ≤{received}", ack)
            before = marks


async def _reading(session: Session) -> Talk:
    """Speech at twice its speed, to the end of the session."""
    subject = session.subject
    talk = await session.recording()
    clock = subject.probe.clock
    begun_s = clock()
    spoken = audio.pieces(subject.speech[: 2 * 16 * _SPEECH_MS])
    following = 0
    for seq, payload in enumerate(spoken):
        await asyncio.sleep(max(0.0, begun_s + seq * audio.CHUNK_MS / 1000 / _PACE - clock()))
        following = await talk.say([payload], seq)
    await talk.control("stop", following)
    await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
    return talk


CHECKS: Final = (
    mark_moves_in_silence,
    mark_behind_words,
    committed_words_stay,
    text_comes,
    marks_hold,
)

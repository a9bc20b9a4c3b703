"""Rule 4: without a link. A session is kept, then suspended; it goes on when its client is back."""

from __future__ import annotations

import asyncio
from typing import Final

from rtstt_lab.lab.conformance import audio, blocks
from rtstt_lab.lab.conformance.checks import Check, NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.recorder import OGG, WEBM, recorded
from rtstt_lab.lab.conformance.subject import Session, Subject, expect_status, unmet_answer
from rtstt_lab.lab.conformance.talk import Talk
from rtstt_lab.lab.conformance.words import judge_times
from rtstt_lab.protocol import messages as wire

_LOOKS: Final = 100
"""How often it is looked whether a session is suspended by now."""
_SPOKEN_MS: Final = 4_000
_CUT_MS: Final = 6_000
_AGAIN_MS: Final = 7_000
_AGAIN_FOR_MS: Final = 3_500


@check("R4.kept")
async def kept(subject: Subject) -> None:
    """Without a link the session is kept, with its audio."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()] * 3)
        await talk.socket.drop()
        for _ in range(5):
            expect_status(await session.request("GET"), "GET", 200)
        _, sync = await session.resume(created.sync.token, last_event=1)
        if sync.next_seq != 3:
            raise Unmet("sync.next_seq=3", phrase("got", text=f"sync.next_seq={sync.next_seq}"))


@check("R4.suspended", minutes=True)
async def suspended(subject: Subject) -> None:
    """After two minutes it is suspended, finals saved; it still goes on, and says what is wanted again."""
    async with subject.session(language="en") as session:
        talk, created = await session.connect()
        await talk.start()
        spoken = list(audio.pieces(subject.speech[: 2 * 16 * 12_000]))
        await talk.control("flush", await talk.say(spoken[:16]))
        await _settled(talk, subject.patience.recognition_s)
        await talk.say(spoken[16:24], 16)
        finals = talk.of(wire.TranscriptionFinal)
        await _suspended(session, talk)
        saved = await session.request("GET", "/transcript")
        if saved.status != 200 or finals[0].text.strip() not in saved.body.decode("utf-8", "replace"):
            raise unmet_answer(f"GET /transcript: 200 {finals[0].text.strip()}", saved)
        talk, sync = await session.resume(created.sync.token, last_event=1, held=[0, len(spoken) - 1])
        if (sync.phase, sync.controls) != ("recording", 2) or sync.next_seq > 24:
            got = phrase("got", text=f"{sync.phase=} {sync.controls=} {sync.next_seq=}")
            raise Unmet("sync={phase: recording, controls: 2, next_seq≤24}", got)
        await talk.until(wire.TranscriptionFinal, text=finals[0].text, words=finals[0].words)
        await talk.control("stop", await talk.say(spoken[sync.next_seq :], sync.next_seq))
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        _whole(talk, completed, len(spoken))
        if completed.summary.duration_s != 12.0:
            raise talk.unmet("summary={duration_s: 12.0}", completed)


def _header_again(check_id: str, mime: str) -> Check:
    @check(check_id, minutes=True)
    async def header_again(subject: Subject) -> None:
        """The container's first chunk comes again where it is asked for; the audio's times go on."""
        async with subject.session(language="en") as session:
            payloads = await asyncio.to_thread(recorded, mime, _broken_off(subject))
            talk, token = await _until_marked(session, payloads, mime)
            await _suspended(session, talk)
            talk, sync = await session.resume(token, last_event=1, held=[0, len(payloads) - 1])
            if sync.next_seq > _CUT_MS // audio.CHUNK_MS or sync.header_seq not in {None, 0}:
                got = phrase("got", text=f"{sync.next_seq=} {sync.header_seq=}")
                raise Unmet(f"sync={{next_seq≤{_CUT_MS // audio.CHUNK_MS}, header_seq: 0}}", got)
            if sync.header_seq is not None:
                await talk.chunk(0, payloads[0], mime=mime, header=True)
                ack = await talk.until(wire.ServerAck, seq=0)
                if (ack.next_seq, ack.received.accepted) != (sync.next_seq, sync.received.accepted):
                    raise talk.unmet(f"next_seq={sync.next_seq} received.accepted unchanged", ack)
            following = await talk.say(payloads[sync.next_seq :], sync.next_seq, mime=mime)
            await talk.control("stop", following)
            completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
            _whole(talk, completed, len(payloads))
            finals = talk.of(wire.TranscriptionFinal)
            judge_times(finals, sample_from_ms=_AGAIN_MS, after_ms=_SPOKEN_MS + 500)

    return header_again


@check("R4.blocks", minutes=True)
async def by_blocks(subject: Subject) -> None:
    """Blocks reopen it as well, and their receipts ask for the header."""
    async with subject.session(language="en") as session:
        payloads = await asyncio.to_thread(recorded, WEBM, _broken_off(subject))
        talk, _ = await _until_marked(session, payloads, WEBM)
        await _suspended(session, talk)
        receipt = await blocks.post(session)
        first = receipt.ack.next_seq
        if receipt.phase != "recording" or first > _CUT_MS // audio.CHUNK_MS:
            raise blocks.unlike(f"phase=recording next_seq≤{_CUT_MS // audio.CHUNK_MS}", receipt)
        records = [blocks.chunk_record(seq, payloads[seq], mime=WEBM) for seq in range(first, len(payloads))]
        if receipt.header_seq is not None:
            head = payloads[receipt.header_seq]
            records.insert(0, blocks.chunk_record(receipt.header_seq, head, mime=WEBM, header=True))
        receipt = await blocks.post(session, *records, blocks.control_record("stop", 3, len(payloads)))
        receipt = await blocks.completed(session, receipt)
        ends = [event for event in receipt.events if isinstance(event, wire.SessionCompleted)]
        if not ends:
            raise blocks.unlike("server:session_completed", receipt)
        _whole(talk, ends[0], len(payloads))
        finals = [event for event in receipt.events if isinstance(event, wire.TranscriptionFinal)]
        judge_times(finals, sample_from_ms=_AGAIN_MS, after_ms=_SPOKEN_MS + 500)


async def _suspended(session: Session, talk: Talk) -> None:
    """Cuts the link, and returns when the session is suspended.

    Raises:
        Unmet: it is not in time, or too early, or is not known any more.
    """
    patience, clock = session.subject.patience, session.subject.probe.clock
    await talk.socket.drop()
    alone_from_s = clock()
    while True:
        answer = await session.request("GET")
        expect_status(answer, "GET", 200)
        told, alone_s = answer.json(), clock() - alone_from_s
        if isinstance(told, dict) and "suspended" in told.values():
            break
        if alone_s > patience.suspended_s:
            raise unmet_answer(f"{{stage: suspended}} (≤{patience.suspended_s:g} s)", answer)
        await asyncio.sleep(patience.suspended_s / _LOOKS)
    if alone_s < patience.kept_s:
        expected = f"stage: open (<{patience.kept_s:g} s)"
        raise Unmet(expected, phrase("got", text=f"stage: suspended ({alone_s:.0f} s)"))


async def _until_marked(session: Session, payloads: list[bytes], mime: str) -> tuple[Talk, str]:
    """Sends what comes before the cut, until a fresh decoder could begin behind the first chunk."""
    talk, created = await session.connect()
    await talk.start()
    following = await talk.say(payloads[: _CUT_MS // audio.CHUNK_MS], mime=mime)
    await talk.control("flush", following)
    await talk.until(
        wire.ServerAck,
        "resume_seq>0",
        lambda ack: ack.resume_seq > 0,
        within_s=session.subject.patience.recognition_s,
    )
    return talk, created.sync.token


async def _settled(talk: Talk, within_s: float) -> None:
    try:
        await talk.until(wire.TranscriptionFinal, within_s=within_s)
    except Unmet:
        if not talk.of(wire.TranscriptionPartial):
            raise NotJudged(phrase("no_words")) from None
        raise


def _broken_off(subject: Subject) -> bytes:
    """Speech, silence in which the link is cut, and another sentence."""
    spoken, pause = subject.speech[: 2 * 16 * _SPOKEN_MS], audio.silence(_AGAIN_MS - _SPOKEN_MS)
    return spoken + pause + audio.another_sentence(subject.speech, _AGAIN_FOR_MS)


def _whole(talk: Talk, completed: wire.SessionCompleted, chunks: int) -> None:
    received = completed.summary.received
    if (received.accepted, received.lost) != (chunks, 0):
        raise talk.unmet(f"summary={{received: {{accepted: {chunks}, lost: 0}}}}", completed)


CHECKS: Final = (
    kept,
    suspended,
    _header_again("R4.webm_header", WEBM),
    _header_again("R4.ogg_header", OGG),
    by_blocks,
)

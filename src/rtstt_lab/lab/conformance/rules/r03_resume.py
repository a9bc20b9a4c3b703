"""Rule 3: resume. The session outlives its links, and goes on where it was."""

from __future__ import annotations

import asyncio
from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, check, phrase
from rtstt_lab.lab.conformance.recorder import OGG, WEBM, recorded
from rtstt_lab.lab.conformance.subject import Subject, expect_status
from rtstt_lab.lab.conformance.talk import Talk
from rtstt_lab.lab.conformance.words import judge_times
from rtstt_lab.protocol import messages as wire


@check("R3.resume")
async def resume(subject: Subject) -> None:
    """After a cut the same session goes on: a resumed status, its phase, and the chunk that is wanted."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()] * 4)
        await talk.socket.drop()
        talk, sync = await session.resume(created.sync.token, last_event=1, held=[0, 5])
        status = talk.of(wire.Status)[0]
        talk.expect(status, state="connected", phase="recording")
        if (sync.next_seq, sync.phase) != (4, "recording"):
            raise talk.unmet("sync={phase: recording, next_seq: 4}", status)
        following = await talk.say([audio.tone()] * 2, 4)
        talk.expect(talk.of(wire.ServerAck)[-1], next_seq=following)


@check("R3.missed_events")
async def missed_events(subject: Subject) -> None:
    """What was missed comes after the greeting: every later event once, in order, as it was."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        for action, phase in (("pause", "paused"), ("resume", "recording"), ("pause", "paused")):
            talk.turn()
            await talk.control(action, 0)
            await talk.until(wire.Status, phase=phase)
        first = _numbered(talk)
        await talk.socket.drop()
        talk, _ = await session.resume(created.sync.token, last_event=1)
        await talk.alive()
        again = _numbered(talk)
        if any(again.get(number) != frame for number, frame in first.items() if number > 1) or 1 in again:
            raise Unmet(f"event={sorted(first)[1:]}", phrase("got", text=f"event={sorted(again)}"))


@check("R3.snapshot")
async def snapshot(subject: Subject) -> None:
    """A page that was loaded again is told everything, and numbers on from where the session is."""
    api = subject.require_token()
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.start()
        await talk.say([audio.tone()] * 3)
        await talk.socket.drop()
        fresh = await session.request("POST", "/token", token=api)
        expect_status(fresh, "POST /token", 200, 201)
        talk = await session.open()
        await talk.send(type="client:hello", token=fresh.json()["session_token"])
        created = await talk.until(wire.SessionCreated)
        sync = created.sync
        if (sync.next_seq, sync.next_stream, sync.controls, sync.phase) != (3, 1, 1, "recording"):
            raise talk.unmet("sync={phase: recording, next_seq: 3, next_stream: 1, controls: 1}", created)
        await talk.until(wire.Status, event=1, phase="recording")


@check("R3.token_rotation")
async def token_rotation(subject: Subject) -> None:
    """The present token is good until the first message under the next one, and not after it."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.start()
        await talk.socket.drop()
        talk, sync = await session.resume(session.token)
        await talk.socket.drop()
        talk, _ = await session.resume(sync.token)
        await talk.alive()
        await talk.socket.drop()
        late = await session.open()
        await late.send(type="client:hello", token=session.token, resuming=True, attempt=9)
        await late.refused(4401)


@check("R3.takeover")
async def takeover(subject: Subject) -> None:
    """A second socket takes over; the first is told so, and not to come back."""
    async with subject.session() as session:
        first, created = await session.connect()
        await first.start()
        second, _ = await session.resume(created.sync.token, last_event=1)
        error = await first.refused(4409)
        first.expect(error, retryable=False)
        await second.alive()
        await second.say([audio.tone()])


@check("R3.late_hello")
async def late_hello(subject: Subject) -> None:
    """A hello of the same client that arrives after a newer one does not take over."""
    async with subject.session() as session:
        await session.connect()
        present, late = await session.open(), await session.open()
        hello = {"type": "client:hello", "token": session.token, "resuming": True}
        await present.send(**hello, attempt=5)
        await present.until(wire.Status, resumed=True)
        await late.send(**hello, attempt=3)
        await late.refused(4400, 4409)
        await present.alive()


@check("R3.owed_chunks")
async def owed_chunks(subject: Subject) -> None:
    """What another client of the session still owed is given up when a new one comes."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()])
        await talk.chunk(2, audio.tone())
        await talk.until(wire.ServerAck, seq=2)
        await talk.socket.drop()
        talk = await session.open()
        await talk.send(type="client:hello", token=created.sync.token)
        created = await talk.until(wire.SessionCreated)
        if (created.sync.next_seq, created.sync.received.lost) != (3, 1):
            raise talk.unmet("sync={next_seq: 3, received: {lost: 1}}", created)


@check("R3.controls_once")
async def controls_once(subject: Subject) -> None:
    """Buttons that come again, on this link or the next, count once."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.control("start", 0, n=1)
        await talk.control("pause", 0)
        await talk.until(wire.Status, phase="paused")
        await talk.socket.drop()
        talk, sync = await session.resume(created.sync.token, last_event=2)
        if (sync.controls, sync.phase) != (2, "paused"):
            raise Unmet("sync={controls: 2, phase: paused}", phrase("got", text=repr(sync.controls)))
        await talk.alive()
        talk.turn()
        await talk.control("start", 0, n=1)
        await talk.control("pause", 0, n=2)
        await talk.alive()
        if repeated := [status for status in talk.answers(wire.Status) if status.phase != "paused"]:
            raise talk.unmet("phase=paused", repeated[0])
        await talk.control("resume", 0)
        talk.expect(await talk.until(wire.Status, phase="recording"), controls=3)


@check("R3.finished_wins")
async def finished_wins(subject: Subject) -> None:
    """A server that is done wins: whoever was cut off before the summary gets it, and starts nothing anew."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.control("stop", await talk.say([audio.tone()] * 2))
        await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        await talk.socket.drop()
        talk, sync = await session.resume(created.sync.token, last_event=1)
        if sync.phase != "completed":
            raise Unmet("sync.phase=completed", phrase("got", text=f"sync.phase={sync.phase}"))
        completed = await talk.until(wire.SessionCompleted)
        talk.turn()
        await talk.control("start", 2)
        await talk.alive()
        if restarted := [status for status in talk.answers(wire.Status) if status.phase == "recording"]:
            raise talk.unmet("phase=completed", restarted[0])
        await talk.send(type="client:ack", event=completed.event)
        await talk.ends(1000)


@check("R3.late_outcome")
async def late_outcome(subject: Subject) -> None:
    """A client that comes back after the session was put away still learns its outcome."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.control("stop", await talk.say([audio.tone()] * 2))
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        await talk.send(type="client:ack", event=completed.event)
        await talk.ends(1000)
        late = await session.open()
        await late.send(type="client:hello", token=created.sync.token, resuming=True, attempt=1)
        late.expect(await late.until(wire.SessionCompleted), summary=completed.summary)


@check("R3.container_goes_on")
async def container_goes_on(subject: Subject) -> None:
    """WebM goes on over the next link without its header; the recorder of a reloaded page brings its own."""
    async with subject.session(language="en") as session:
        spoken = audio.silence(1_000) + subject.speech[: 2 * 16 * 4_000]
        webm = await asyncio.to_thread(recorded, WEBM, spoken)
        spoken = audio.silence(2_000) + audio.another_sentence(subject.speech, 3_500)
        ogg = await asyncio.to_thread(recorded, OGG, spoken)
        talk, created = await session.connect()
        await talk.start()
        await talk.say(webm[:10], mime=WEBM)
        await talk.socket.drop()
        talk, sync = await session.resume(created.sync.token, last_event=1)
        if (sync.next_seq, sync.header_seq) != (10, None):
            got = phrase("got", text=f"sync.next_seq={sync.next_seq} sync.header_seq={sync.header_seq}")
            raise Unmet("sync={next_seq: 10, header_seq: null}", got)
        following = await talk.say(webm[10:], 10, mime=WEBM)
        await talk.socket.drop()
        talk = await session.open()
        await talk.send(type="client:hello", token=sync.token)
        sync = (await talk.until(wire.SessionCreated)).sync
        following = await talk.say(ogg, following, mime=OGG, stream=sync.next_stream)
        await talk.control("stop", following)
        completed = await talk.until(wire.SessionCompleted, within_s=subject.patience.recognition_s)
        received = completed.summary.received
        if (received.accepted, received.lost) != (following, 0):
            raise talk.unmet(f"received={{accepted: {following}, lost: 0}}", completed)
        finals = talk.of(wire.TranscriptionFinal)
        judge_times(finals, sample_from_ms=1_000)
        judge_times(finals, sample_from_ms=7_000, after_ms=5_300)


def _numbered(talk: Talk) -> dict[int, str | bytes]:
    return {
        message.event: told.frame
        for told in talk.told
        if isinstance(message := told.message, wire.NumberedMessage) and message.event
    }


CHECKS: Final = (
    resume,
    missed_events,
    snapshot,
    token_rotation,
    takeover,
    late_hello,
    owed_chunks,
    controls_once,
    finished_wins,
    late_outcome,
    container_goes_on,
)

"""Rule 10: blocks. The same chunks by another way: same numbers, same checks, same marks, same text."""

from __future__ import annotations

import struct
from typing import Final

from rtstt_lab.lab.conformance import audio, blocks
from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import SESSIONS, Subject, expect_status
from rtstt_lab.protocol import messages as wire


@check("R10.same_numbers")
async def same_numbers(subject: Subject) -> None:
    """Chunks by socket and by block are one sequence; what came by one is a duplicate by the other."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.say([audio.tone()] * 2)
        await talk.socket.drop()
        receipt = await blocks.post(session, *(blocks.chunk_record(seq) for seq in range(1, 5)))
        if (receipt.ack.next_seq, receipt.ack.received.duplicate, receipt.phase) != (5, 1, "recording"):
            raise blocks.unlike(
                "ack={next_seq: 5, received: {accepted: 5, duplicate: 1}} phase=recording", receipt
            )
        talk, sync = await session.resume(receipt.token or created.sync.token, last_event=1)
        if sync.next_seq != 5:
            raise Unmet("sync.next_seq=5", phrase("got", text=f"sync.next_seq={sync.next_seq}"))
        talk.turn()
        await talk.chunk(4, audio.tone())
        again = await talk.until(wire.ServerAck, seq=4)
        if (again.next_seq, again.received.duplicate) != (5, 2):
            raise talk.unmet("next_seq=5 received.duplicate=2", again)


@check("R10.poll")
async def poll(subject: Subject) -> None:
    """An empty block only asks; it is answered with the marks and the events after the one named."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()] * 3)
        everything = await blocks.post(session)
        numbers = [event.event for event in everything.events]
        if everything.ack.next_seq != 3 or not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise blocks.unlike(f"ack={{next_seq: 3}} events=[1, …] ({numbers})", everything)
        newer = [event.event for event in (await blocks.post(session, after=1)).events]
        if newer[: len(numbers) - 1] != numbers[1:]:
            raise Unmet(f"events={numbers[1:]}", phrase("got", text=f"events={newer}"))


@check("R10.checks")
async def checks(subject: Subject) -> None:
    """A damaged chunk of a block is rejected and asked for again; those beside it are taken."""
    async with subject.session() as session:
        await session.recording()
        receipt = await blocks.post(
            session, blocks.chunk_record(0), blocks.chunk_record(1, crc32=1), blocks.chunk_record(2)
        )
        if (receipt.ack.next_seq, receipt.ack.missing) != (1, (1,)) or 1 not in [
            r.seq for r in receipt.rejected
        ]:
            raise blocks.unlike("ack={next_seq: 1, missing: [1]} rejected=[{seq: 1}]", receipt)
        whole = await blocks.post(session, blocks.chunk_record(1))
        if whole.ack.next_seq != 3:
            raise blocks.unlike("ack={next_seq: 3}", whole)


@check("R10.refusals", sessions=2)
async def refusals(subject: Subject) -> None:
    """No token 401, another session's 401, nobody's session 404, no records 422, too much 413."""
    async with subject.session() as session, subject.session() as other:
        for token in (None, "x" * 43, other.token):
            answer = await blocks.send(session, b"", token=token)
            expect_status(answer, "POST /blocks", 401)
        torn = [
            b"\x01",
            struct.pack("<I", 2) + b"{}",
            blocks.chunk_record(0)[:-1],
            struct.pack("<I", 2**31) + b"{}",
        ]
        for body in torn:
            expect_status(await blocks.send(session, body), f"POST /blocks {body[:12]!r}", 422)
        path = f"{SESSIONS}/00000000-0000-4000-8000-000000000000/blocks"
        unknown = await subject.request("POST", path, token=subject.token or session.token, content=b"")
        expect_status(unknown, "POST /blocks", 404, 401)
        limit = session.created.limits.max_block_bytes
        expect_status(
            await blocks.send(session, bytes(limit + 1_000)), f"POST /blocks {limit + 1_000} B", 413
        )


@check("R10.whole_session")
async def whole_session(subject: Subject) -> None:
    """A session that is only blocks, buttons included, gives its text as finals in the order of time."""
    async with subject.session(language="en") as session:
        await blocks.post(session, blocks.control_record("start", 1, 0))
        spoken = list(audio.pieces(subject.speech[: 2 * 16 * 8_000]))
        half = len(spoken) // 2
        await blocks.post(session, *(blocks.chunk_record(seq, spoken[seq]) for seq in range(half)))
        records = [blocks.chunk_record(seq, spoken[seq]) for seq in range(half, len(spoken))]
        receipt = await blocks.post(session, *records, blocks.control_record("stop", 2, len(spoken)))
        if receipt.ack.next_seq != len(spoken):
            raise blocks.unlike(f"ack={{next_seq: {len(spoken)}}}", receipt)
        receipt = await blocks.completed(session, receipt)
        starts = [
            word.start_ms
            for event in receipt.events
            if isinstance(event, wire.TranscriptionFinal)
            for word in event.words
        ]
        ends = [event for event in receipt.events if isinstance(event, wire.SessionCompleted)]
        if not ends or ends[0].summary.received.accepted != len(spoken) or ends[0].summary.received.lost:
            raise blocks.unlike(f"server:session_completed received={{accepted: {len(spoken)}}}", receipt)
        if not starts:
            raise NotJudged(phrase("no_words"))
        if starts != sorted(starts):
            raise Unmet("start_ms in order", phrase("got", text=str(starts)))


@check("R10.new_client")
async def new_client(subject: Subject) -> None:
    """A block with new=true is a new client's: it numbers on, and what another one owed is given up."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.say([audio.tone()])
        await talk.chunk(2, audio.tone())
        await talk.until(wire.ServerAck, seq=2)
        await talk.socket.drop()
        receipt = await blocks.post(session, new=True)
        if (receipt.ack.next_seq, receipt.ack.received.lost, receipt.next_stream) != (3, 1, 1):
            raise blocks.unlike("ack={next_seq: 3, received: {lost: 1}} next_stream=1", receipt)


CHECKS: Final = (same_numbers, poll, checks, refusals, whole_session, new_client)

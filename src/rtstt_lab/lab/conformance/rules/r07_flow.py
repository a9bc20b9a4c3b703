"""Rules 7 and 8: flow and limits. Credit tells how much may come; what is refused is refused out loud."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import NotJudged, check, phrase
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.protocol import messages as wire

_FLOOD_CHUNK_MS: Final = 30_000
_FASTEST: Final = 200
"""Chunks a second: beyond, the limit costs more to meet than it tells."""
_HELD: Final = 100
_MOST_RECONNECTIONS: Final = 100


@check("R7.credit")
async def credit(subject: Subject) -> None:
    """Credit shrinks with what waits, and comes back once that is worked off."""
    async with subject.session(language="en") as session:
        talk, created = await session.connect()
        await talk.start()
        full_ms = created.limits.credit_ms
        for seq, payload in enumerate(audio.pieces(subject.speech[: 2 * 16 * 8_000], 500)):
            await talk.chunk(seq, payload)
        shrunk = await talk.until(
            wire.ServerAck, f"credit_ms<{full_ms}", lambda ack: 0 < ack.credit_ms < full_ms
        )
        await talk.until(wire.ServerAck, seq=15)
        least_ms = min(shrunk.credit_ms, talk.of(wire.ServerAck)[-1].credit_ms)
        await talk.control("flush", 16)
        await talk.until(
            wire.ServerAck,
            f"credit_ms>{least_ms}",
            lambda ack: ack.credit_ms > least_ms,
            within_s=subject.patience.recognition_s,
        )


@check("R7.queue_full")
async def queue_full(subject: Subject) -> None:
    """A full queue takes no more, says so, asks again for what it refused, and drops nothing."""
    async with subject.session(language="en") as session:
        talk, created = await session.connect()
        await talk.start()
        chunk = (subject.speech * 2)[: 2 * 16 * _FLOOD_CHUNK_MS]
        chunks = created.limits.credit_ms // _FLOOD_CHUNK_MS + 2
        if len(chunk) > created.limits.max_chunk_bytes or chunks > 10:
            raise NotJudged(phrase("too_roomy"))
        for seq in range(chunks):
            await talk.chunk(seq, chunk, captured_ms=seq * _FLOOD_CHUNK_MS)
        last = await talk.until(wire.ServerAck, seq=chunks - 1, within_s=subject.patience.recognition_s)
        if last.next_seq == chunks and last.credit_ms > 0:
            raise NotJudged(phrase("too_fast"))
        await talk.until(
            wire.ServerError, "retryable, seq", lambda error: error.seq is not None, retryable=True
        )
        if last.received.lost or last.next_seq == chunks or chunks - 1 not in last.missing:
            raise talk.unmet(f"next_seq<{chunks} missing=[…, {chunks - 1}] received.lost=0", last)
        await talk.until(
            wire.Status,
            "alert={name: backpressure, on: true}",
            lambda status: (
                status.alert is not None and (status.alert.name, status.alert.on) == ("backpressure", True)
            ),
        )
        await talk.alive()


@check("R8.chunk_rate")
async def chunk_rate(subject: Subject) -> None:
    """Chunks over the rate are refused with a time to try again, asked for again, and then taken."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        rate = created.limits.max_chunks_per_s
        if not 0 < rate <= _FASTEST:
            raise NotJudged(phrase("too_roomy"))
        for seq in range(5 * rate):
            await talk.chunk(seq, audio.tone(20))
        refused = await talk.until(
            wire.ServerError, "retry_after_ms>0", lambda error: bool(error.retry_after_ms), retryable=True
        )
        ack = await talk.until(wire.ServerAck, seq=5 * rate - 1)
        if not ack.missing or refused.fatal:
            raise talk.unmet(f"missing=[{refused.seq}…]", ack)
        await talk.alive()


@check("R8.burst_after_reconnect")
async def burst_after_reconnect(subject: Subject) -> None:
    """What a client held through an outage may come at once."""
    async with subject.session() as session:
        talk, created = await session.connect()
        await talk.start()
        await talk.socket.drop()
        talk, _ = await session.resume(created.sync.token, last_event=1, held=[0, _HELD - 1])
        for seq in range(_HELD):
            await talk.chunk(seq, audio.tone(20))
        last = await talk.until(wire.ServerAck, seq=_HELD - 1)
        talk.expect(last, next_seq=_HELD, missing=(), received=wire.Received(accepted=_HELD))


@check("R8.reconnections")
async def reconnections(subject: Subject) -> None:
    """More connections an hour than allowed are refused with a time to try again."""
    async with subject.session() as session:
        _, created = await session.connect()
        limit = created.limits.max_reconnections_per_h
        if not 0 < limit <= _MOST_RECONNECTIONS:
            raise NotJudged(phrase("too_roomy"))
        for attempt in range(1, limit + 2):
            talk = await session.open()
            await talk.send(type="client:hello", token=session.token, resuming=True, attempt=attempt)
            if attempt <= limit:
                await talk.until(wire.Status, resumed=True)
        error = await talk.refused(4429)
        if not error.retry_after_ms:
            raise talk.unmet("server:error retry_after_ms>0", error)


CHECKS: Final = (credit, queue_full, chunk_rate, burst_after_reconnect, reconnections)

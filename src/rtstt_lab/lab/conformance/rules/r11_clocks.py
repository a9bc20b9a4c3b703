"""Rule 11: clocks. The server's times let the client work out the offset between the two clocks."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.protocol import messages as wire

_ROUNDING_MS: Final = 5.0


@check("R11.acks")
async def acks(subject: Subject) -> None:
    """Acks echo the client's time beside the server's of receipt and answer; its clock runs as ours."""
    async with subject.session() as session:
        talk = await session.recording()
        clock = subject.probe.clock
        exchanges: list[tuple[float, wire.ServerAck, float]] = []
        for seq in range(2):
            sent_s = clock()
            await talk.chunk(seq, audio.tone(), sent_ms=40_000 + seq)
            ack = await talk.until(wire.ServerAck, seq=seq)
            exchanges.append((sent_s, ack, clock()))
            talk.expect(ack, client_sent_ms=40_000 + seq)
            if ack.received_ms > ack.sent_ms:
                raise talk.unmet("received_ms≤sent_ms", ack)
            if seq == 0:  # something to measure: until the server's next ping
                await talk.until(wire.ServerPing, within_s=2 * subject.patience.answer_s)
        (sent_0, first, came_0), (sent_1, second, came_1) = exchanges
        _held(first.received_ms, second.received_ms, 1000 * (sent_1 - came_0), 1000 * (came_1 - sent_0))


@check("R11.pongs")
async def pongs(subject: Subject) -> None:
    """A pong carries the server's time, on the same clock."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.chunk(0, audio.tone())
        ack = await talk.until(wire.ServerAck, seq=0)
        clock = subject.probe.clock
        sent_s = clock()
        await talk.send(type="client:ping", sent_ms=5)
        pong = await talk.until(wire.ServerPong, sent_ms=5)
        await talk.chunk(1, audio.tone())
        after = await talk.until(wire.ServerAck, seq=1)
        waited_ms = 1000 * (clock() - sent_s)
        if not ack.sent_ms <= pong.server_ms <= after.received_ms:
            raise talk.unmet(f"{ack.sent_ms}≤server_ms≤{after.received_ms}", pong)
        _held(pong.server_ms, after.received_ms, 0.0, waited_ms)


def _held(first_ms: int, second_ms: int, least_ms: float, most_ms: float) -> None:
    """The time between two moments at the server lies between what passed here, at least and at most."""
    passed_ms = second_ms - first_ms
    if not least_ms - _ROUNDING_MS <= passed_ms <= most_ms + _ROUNDING_MS:
        expected = f"{least_ms:.0f}≤Δ≤{most_ms:.0f} ms"
        raise Unmet(expected, phrase("got", text=f"Δ={passed_ms} ms ({first_ms} → {second_ms})"))


CHECKS: Final = (acks, pongs)

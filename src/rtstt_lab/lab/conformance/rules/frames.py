"""The frames: greeting, forms of audio, pings, the viewer's socket, and the end of a session."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, check, phrase
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.protocol import messages as wire

_PING_EVERY_S: Final = 5.0
_THREE_METRICS_S: Final = 1.5
"""At least: once a second, and what the way shortens."""


@check("F.greeting")
async def greeting(subject: Subject) -> None:
    """The first hello is answered with session, protocol, limits and where the numbers stand."""
    async with subject.session() as session:
        talk, created = await session.connect()
        talk.expect(created, session_id=session.id, protocol=wire.PROTOCOL)
        if not created.sync.token or created.limits.max_chunks_per_s < 1:
            raise talk.unmet("limits, sync.token", created)
        if (created.sync.phase, created.sync.next_seq, created.sync.committed_seq) != ("idle", 0, 0):
            raise talk.unmet("sync={phase: idle, next_seq: 0, committed_seq: 0}", created)


@check("F.subprotocol")
async def subprotocol(subject: Subject) -> None:
    """The subprotocol that was offered is chosen."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        if talk.socket.subprotocol != wire.PROTOCOL:
            got = phrase("got", text=f"Sec-WebSocket-Protocol: {talk.socket.subprotocol or '–'}")
            raise Unmet(f"Sec-WebSocket-Protocol: {wire.PROTOCOL}", got)


@check("F.base64")
async def base64(subject: Subject) -> None:
    """Audio as JSON with base64 counts as the binary form does."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.chunk_as_text(0, audio.tone())
        talk.expect(await talk.until(wire.ServerAck, seq=0), next_seq=1)
        await talk.chunk(1)
        talk.expect(await talk.until(wire.ServerAck, seq=1), next_seq=2)


@check("F.unknown_field")
async def unknown_field(subject: Subject) -> None:
    """Fields that are not known are ignored."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.send(type="client:control", action="start", n=1, at_seq=0, mood={"good": [True]})
        await talk.until(wire.Status, phase="recording")
        await talk.chunk(0, weather="fine")
        talk.expect(await talk.until(wire.ServerAck, seq=0), next_seq=1)


@check("F.unknown_type")
async def unknown_type(subject: Subject) -> None:
    """A type that is not known is answered with an error, and the link goes on."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.send(type="client:dance")
        await talk.until(wire.ServerError, fatal=False)
        await talk.alive()


@check("F.illegal_control")
async def illegal_control(subject: Subject) -> None:
    """A button that the phase does not allow is an error that changes nothing."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.control("pause", 0)
        await talk.until(wire.ServerError, fatal=False)
        await talk.control("start", 0)
        talk.expect(await talk.until(wire.Status, phase="recording"), controls=2)


@check("F.ping")
async def ping(subject: Subject) -> None:
    """A ping is answered with its own time."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        for sent_ms in (0, 123_456, 2**40):
            await talk.send(type="client:ping", sent_ms=sent_ms)
            await talk.until(wire.ServerPong, sent_ms=sent_ms)


@check("F.server_pings")
async def server_pings(subject: Subject) -> None:
    """The server pings a client every five seconds."""
    async with subject.session() as session:
        talk, _ = await session.connect()
        await talk.until(wire.ServerPing, within_s=2 * _PING_EVERY_S + subject.patience.answer_s)


@check("F.api_token")
async def api_token(subject: Subject) -> None:
    """The API token opens any session, too."""
    api = subject.require_token()
    async with subject.session() as session:
        talk = await session.open()
        await talk.send(type="client:hello", token=api)
        talk.expect(await talk.until(wire.SessionCreated), session_id=session.id)


@check("F.metrics")
async def metrics(subject: Subject) -> None:
    """The server's figures come once a second."""
    async with subject.session() as session:
        talk = await session.recording()
        for _ in range(3):
            talk.turn()
            await talk.until(wire.Metrics)
        first, *_, last = [told.at_s for told in talk.told if isinstance(told.message, wire.Metrics)]
        if last - first < _THREE_METRICS_S:
            got = phrase("got", text=f"3 server:metrics in {last - first:.1f} s")
            raise Unmet(f"3 server:metrics in ≥{_THREE_METRICS_S} s", got)


@check("F.ledger")
async def ledger(subject: Subject) -> None:
    """Each transmission is counted once, and accepted and lost chunks together are the next number."""
    async with subject.session() as session:
        talk = await session.recording()
        payload = audio.tone()
        await talk.chunk(0, payload)
        await talk.chunk(0, payload)
        await talk.chunk(1, payload, crc32=1)
        await talk.chunk(1, payload)
        await talk.chunk(2, b"", lost=True, duration_ms=audio.CHUNK_MS, crc32=0)
        await talk.chunk(3, payload)
        last = await talk.until(wire.ServerAck, seq=3)
        talk.expect(last, received=wire.Received(accepted=3, duplicate=1, rejected=2, lost=1))
        for ack in talk.of(wire.ServerAck):
            if ack.received.accepted + ack.received.lost != ack.next_seq:
                raise talk.unmet("received.accepted+received.lost=next_seq", ack)


@check("F.silent_client")
async def silent_client(subject: Subject) -> None:
    """A client from which nothing comes is told so and let go of; its session stays."""
    async with subject.session() as session:
        talk, created = await session.connect(answers_pings=False)
        await talk.until(wire.ServerError, within_s=subject.patience.silence_s, fatal=True)
        await talk.ends(4000, 4400)
        await session.resume(created.sync.token)


@check("F.viewer")
async def viewer(subject: Subject) -> None:
    """A viewer sees the numbered events after the one it names, and no secret."""
    async with subject.session() as session:
        talk = await session.recording()
        await talk.control("pause", 0)
        await talk.until(wire.Status, phase="paused")
        path = session.created.ws_path.removesuffix("/ws") + "/events"
        watching = session.adopt(await subject.probe.open(path, query={"after": "1"}))
        await watching.send(type="client:hello", token=session.token)
        await watching.until(wire.Status, phase="paused")
        watching.turn()
        await talk.control("resume", 0)
        await watching.until(wire.Status, phase="recording")
        numbers = [told.event for told in watching.of(wire.Status) if told.event]
        if numbers != sorted(set(numbers)):
            raise watching.unmet("events in order, each once")
        if numbered := [told for told in watching.of(wire.Status) if told.event <= 1]:
            raise watching.unmet("event > 1", numbered[0])
        if any('"token"' in str(told.frame) for told in watching.told):
            raise watching.unmet("no token")


@check("F.finish")
async def finish(subject: Subject) -> None:
    """Stop: the status finalizing, the summary with the whole ledger, and 1000 once it is acknowledged."""
    async with subject.session() as session:
        talk = await session.recording()
        following = await talk.say([audio.tone()] * 6)
        await talk.control("stop", following)
        waiting_s = subject.patience.recognition_s
        await talk.until(wire.Status, phase="finalizing", within_s=waiting_s)
        completed = await talk.until(wire.SessionCompleted, within_s=waiting_s)
        received = completed.summary.received
        if (received.accepted, received.lost) != (6, 0) or completed.summary.duration_s != 1.5:
            raise talk.unmet("summary={duration_s: 1.5, received: {accepted: 6}}", completed)
        await talk.send(type="client:ack", event=completed.event)
        await talk.ends(1000)


@check("F.readable", when="afterwards")
async def readable(subject: Subject) -> None:
    """Every frame of the server is a message of the protocol."""
    for talk in subject.talks:
        for told in talk.told:
            if told.message is None:
                text = told.frame[:160] if isinstance(told.frame, str) else f"{len(told.frame)} B"
                raise Unmet("server:…", phrase("got", text=text))


CHECKS: Final = (
    greeting,
    subprotocol,
    base64,
    unknown_field,
    unknown_type,
    illegal_control,
    ping,
    server_pings,
    api_token,
    metrics,
    ledger,
    silent_client,
    viewer,
    finish,
    readable,
)

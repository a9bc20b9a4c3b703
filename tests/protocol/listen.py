"""A client's session, and a server that says what a test wants."""

from __future__ import annotations

import json

from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSession, ClientSettings


def sync(**changes) -> wire.Sync:
    fields = {"token": "next", "phase": "idle", "next_seq": 0, "committed_seq": 0, "resume_seq": 0}
    fields |= {"controls": 0, "last_event": 0, "received": wire.Received(), "credit_ms": 120_000}
    return wire.Sync(**(fields | changes))


def greet(client: ClientSession, now: float, *, limits: wire.Limits | None = None, **changes) -> None:
    """The server answers, for the first time or again."""
    client.link_opened(now)
    hello = json.loads(client.data_to_send(now)[0])
    if hello.get("resuming"):
        status = wire.Status("connected", changes.get("phase", "idle"), resumed=True, sync=sync(**changes))
        say(client, now, status)
    else:
        created = wire.SessionCreated(
            "s", wire.PROTOCOL, "base", None, limits or wire.Limits(), sync(**changes)
        )
        say(client, now, created)


def opened(now: float = 0.0, settings: ClientSettings | None = None, **changes) -> ClientSession:
    client = ClientSession("s", "first", settings=settings)
    client.connect(now)
    greet(client, now, **changes)
    client.events()
    return client


def say(client: ClientSession, now: float, message: wire.Message) -> None:
    client.receive_text(wire.encode(message), now)


def of(client: ClientSession, kind: type) -> list:
    return [event for event in client.events() if isinstance(event, kind)]


def sent(client: ClientSession, now: float) -> list:
    """The frames as messages; chunks as headers."""
    return [
        wire.split_audio(frame)[0] if isinstance(frame, bytes) else wire.decode_client_message(frame)
        for frame in client.data_to_send(now)
    ]


def record(client: ClientSession, count: int, now: float = 0.0) -> None:
    for n in range(count):
        client.send_audio(b"abc", duration_ms=250, captured_ms=n, stream=0, mime="audio/pcm", now=now)


def ack(seq: int | None, next_seq: int, **changes) -> wire.ServerAck:
    received = wire.Received(accepted=next_seq)
    return wire.ServerAck(seq, next_seq, credit_ms=120_000, received=received, **changes)


def final(event: int, segment: int = 0) -> wire.TranscriptionFinal:
    return wire.TranscriptionFinal(segment, "a", (wire.WireWord("a", 0, 200, 1.0),), 1.0, "en", 250, event)

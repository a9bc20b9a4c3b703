"""A server's session, and all that its links were sent."""

from __future__ import annotations

import binascii

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash


class Talk:
    """A session and what its links were sent."""

    def __init__(self, **arguments) -> None:
        tokens = iter(f"token-{n}" for n in range(1, 1_000))
        self.session = ServerSession(
            "s", token_hash=token_hash("token-0"), new_token=lambda: next(tokens), model="base", **arguments
        )
        self.now = 0.0
        self.link = 0
        self.sent: dict[int, list] = {}
        self.events: list = []

    def drain(self) -> None:
        self.events += self.session.events()
        for link, frame in self.session.data_to_send(self.now):
            self.sent.setdefault(link, []).append(wire.decode_server_message(frame))

    def open(self, hello: wire.Message | None) -> int:
        self.link += 1
        self.session.link_opened(self.now, self.link)
        if hello is not None:
            self.say(hello)
        self.drain()
        return self.link

    def say(self, message: wire.Message, link: int | None = None) -> None:
        self.session.receive_text(wire.encode(message), self.now, link or self.link)
        self.drain()

    def chunk(self, seq: int, payload: bytes = b"abc", **changes) -> None:
        fields = {"seq": seq, "stream": 0, "bytes": len(payload), "crc32": binascii.crc32(payload)}
        fields |= {"duration_ms": 250, "captured_ms": 250 * seq, "sent_ms": 0}
        fields |= {"mime": "audio/pcm" if seq == 0 else None}
        header = wire.AudioHeader(**(fields | changes))
        self.session.receive_bytes(wire.encode_audio(header, payload), self.now, self.link)
        self.drain()

    def at(self, now: float) -> None:
        self.now = now
        self.session.handle_timer(now)
        self.drain()

    def got(self, kind: type, link: int | None = None) -> list:
        return [message for message in self.sent.get(link or self.link, []) if isinstance(message, kind)]

    def codes(self, link: int | None = None) -> list[str]:
        return [error.code for error in self.got(wire.ServerError, link)]

    def closed(self) -> list[tuple[int, int]]:
        return [(event.link, event.code) for event in self.events if isinstance(event, ev.CloseLink)]

    def given_out(self) -> list:
        return [
            event.header.seq
            if isinstance(event, ev.ChunkAccepted)
            else (event.seq, event.reason, event.duration_ms)
            for event in self.events
            if isinstance(event, ev.ChunkAccepted | ev.HoleDeclared)
        ]


def talk(**arguments) -> Talk:
    """A client is there, and has started."""
    result = Talk(**arguments)
    result.open(wire.ClientHello("token-0"))
    result.say(wire.ClientControl("start", 1, 0))
    return result

"""Valid inputs of every kind: what the mutations begin from."""

from __future__ import annotations

import binascii

from tests.server.talk import frame

from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import encode_block

TOKEN = "a token for a test"
CHUNK_MS = 100
PCM = "audio/pcm;rate=16000"


def chunk(seq: int, payload: bytes = bytes(32 * CHUNK_MS), **changes) -> bytes:
    """A right frame of PCM, or one that is told otherwise."""
    at_ms = seq * CHUNK_MS
    fields = {"duration_ms": CHUNK_MS, "captured_ms": at_ms, "sent_ms": at_ms, "mime": PCM}
    return frame(seq, payload, **(fields | changes))


def client_messages(seq: int = 0, control: int = 1) -> list[wire.Message]:
    """One of each, as they could come next."""
    return [
        wire.ClientHello(TOKEN, last_event=3, held=(0, 5), resuming=True, attempt=2),
        wire.AudioText(seq, 0, 3, binascii.crc32(b"abc"), 1, 0, 0, PCM, data=b"abc"),
        *(wire.ClientControl(action, control, seq) for action in ("start", "pause", "resume", "flush")),
        wire.ClientAck(2, wire.LatencyFigures(4, 300, 280, 500)),
        wire.ClientPing(17),
        wire.ClientPong(12),
    ]


def sync(**changes) -> wire.Sync:
    fields = {"token": "next", "phase": "recording", "next_seq": 2, "committed_seq": 1, "resume_seq": 1}
    fields |= {"controls": 1, "last_event": 2, "received": wire.Received(2), "credit_ms": 120_000}
    return wire.Sync(**(fields | {"next_stream": 1, "audio_ms": 200, "header_seq": 0} | changes))


def acknowledgement(next_seq: int = 3) -> wire.ServerAck:
    return wire.ServerAck(
        2, next_seq, (4, 6), 1, 1, 100_000, 5, 9, 9, received=wire.Received(3, 1, 1, 0), controls=1
    )


def server_messages(event: int = 1) -> list[wire.Message]:
    """One of each, as they could come next."""
    words = (wire.WireWord(" one", 0, 200, 0.9), wire.WireWord(" two", 210, 400, 0.8))
    summary = wire.Summary(
        1.0,
        2,
        0.9,
        wire.LatencyFigures(4, 300, 280, 500),
        wire.Received(3),
        "file.txt",
        complete=True,
        language="en",
    )
    return [
        wire.SessionCreated("s", wire.PROTOCOL, "base", "en", wire.Limits(), sync()),
        wire.Status("connected", "recording", resumed=True, sync=sync()),
        acknowledgement(),
        acknowledgement(),
        wire.TranscriptionPartial(0, 1, "one two", words, 1, 400),
        wire.TranscriptionFinal(0, "one two", words, 0.9, "en", 400, event),
        wire.Status("recording", "recording", 1, alert=wire.Alert("memory", on=True), event=event),
        wire.ServerError(
            "chunk_lost", "lost", {"first": 3, "last": 4, "reason": "not_received"}, event=event
        ),
        wire.ServerError("limit_chunk_rate", "slow", retryable=True, retry_after_ms=500, seq=2),
        wire.SessionCompleted(summary, event),
        wire.ServerPing(17),
        wire.ServerPong(12, 30),
    ]


def receipt(event: int = 1) -> wire.BlockReceipt:
    """What a server answers to a block."""
    final = next(m for m in server_messages(event) if isinstance(m, wire.TranscriptionFinal))
    return wire.BlockReceipt(
        acknowledgement(),
        "recording",
        header_seq=0,
        events=(final,),
        rejected=(wire.RejectedRecord(2, "checksum", "damaged"),),
        last_event=event,
        next_stream=1,
        audio_ms=300,
    )


def block(seq: int = 0, control: int = 1) -> bytes:
    """Two buttons and three chunks."""
    buttons = [wire.ClientControl("start", control, seq), wire.ClientControl("flush", control + 1, seq + 2)]
    return encode_block(buttons, [chunk(seq + n) for n in range(3)])

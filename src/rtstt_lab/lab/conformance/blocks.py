"""Blocks as a client sends them, right or wrong on purpose (rule 10)."""

from __future__ import annotations

import json
import struct
from typing import Any

import msgspec

from rtstt_lab.client.probe import Answer
from rtstt_lab.lab.conformance import audio
from rtstt_lab.lab.conformance.checks import Unmet, phrase
from rtstt_lab.lab.conformance.subject import Session, expect_status, unmet_answer
from rtstt_lab.protocol import messages as wire


def chunk_record(seq: int, payload: bytes | None = None, **changes: Any) -> bytes:
    """A chunk; without a payload, a tone."""
    payload = audio.tone() if payload is None else payload
    return audio.binary(audio.header(seq, payload, **changes), payload)


def control_record(action: str, n: int, at_seq: int) -> bytes:
    """A button."""
    head = json.dumps({"type": "client:control", "action": action, "n": n, "at_seq": at_seq}).encode()
    return struct.pack("<I", len(head)) + head


async def send(session: Session, body: bytes, *, after: int = 0, new: bool = False, **options: Any) -> Answer:
    """Any body."""
    query = {"after": str(after)} | ({"new": "true"} if new else {})
    return await session.request("POST", "/blocks", query=query, content=body, **options)


async def post(session: Session, *records: bytes, **options: Any) -> wire.BlockReceipt:
    """A block that must be taken.

    Raises:
        Unmet: it is not, or its receipt is none.
    """
    answer = await send(session, b"".join(records), **options)
    expect_status(answer, "POST /blocks", 202)
    try:
        return msgspec.json.decode(answer.body, type=wire.BlockReceipt)
    except msgspec.DecodeError as error:
        raise unmet_answer("202 {ack, phase, events}", answer) from error


async def completed(session: Session, receipt: wire.BlockReceipt) -> wire.BlockReceipt:
    """Asks until the session has ended, at most for as long as recognition may take; the last receipt."""
    subject = session.subject
    deadline_s = subject.probe.clock() + subject.patience.recognition_s
    while receipt.phase not in {"completed", "failed"} and subject.probe.clock() < deadline_s:
        receipt = await post(session)
    return receipt


def unlike(expected: str, receipt: wire.BlockReceipt) -> Unmet:
    """What a receipt should say, and what it says."""
    came = {"ack": receipt.ack, "phase": receipt.phase, "rejected": receipt.rejected}
    text = msgspec.json.encode(came).decode()
    return Unmet(expected, phrase("got", text=text[:240]))

"""Blocks: chunks and buttons as the body of one HTTP request, and its receipt as a greeting (rule 10)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from rtstt_lab.errors import MalformedFrameError
from rtstt_lab.protocol.messages import (
    MAX_HEADER_BYTES,
    AudioHeader,
    BlockReceipt,
    ClientAck,
    ClientControl,
    Received,
    ServerAck,
    Sync,
    decode_numbered,
)

Record: TypeAlias = tuple[AudioHeader, bytes] | ClientControl | ClientAck
"""A chunk with its payload, a button, or what the client tells of its latency."""

_LENGTH: Final = struct.Struct("<I")
_decoder: Final[msgspec.json.Decoder[AudioHeader | ClientControl | ClientAck]] = msgspec.json.Decoder(
    AudioHeader | ClientControl | ClientAck
)


def encode_block(messages: Iterable[ClientControl | ClientAck], frames: Iterable[bytes]) -> bytes:
    """The body of a block.

    Args:
        messages: buttons, and figures; they come first, so that each button is known when the chunk that it
            precedes arrives.
        frames: chunks, as `encode_audio` writes them.
    """
    heads = map(msgspec.json.encode, messages)
    return b"".join([*(_LENGTH.pack(len(head)) + head for head in heads), *frames])


def split_block(body: bytes) -> list[Record]:
    """Takes a body apart; payloads are not held against their headers yet (`check_payload`).

    Raises:
        MalformedFrameError: a record that cannot be read, or is not all there; says which one.
    """
    records: list[Record] = []
    view, at = memoryview(body), 0
    while at < len(view):
        number = len(records)
        if at + _LENGTH.size > len(view):
            raise MalformedFrameError("block_record", record=number, reason="no length")
        (length,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if not 0 < length <= MAX_HEADER_BYTES or at + length > len(view):
            raise MalformedFrameError("block_record", record=number, reason=f"{length} bytes of JSON")
        try:
            head = _decoder.decode(view[at : at + length])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise MalformedFrameError("block_record", record=number, reason=str(error)[:200]) from error
        at += length
        if not isinstance(head, AudioHeader):
            records.append(head)
            continue
        if head.bytes > len(view) - at:
            raise MalformedFrameError("block_record", record=number, reason=f"{head.bytes} bytes of audio")
        records.append((head, bytes(view[at : at + head.bytes])))
        at += head.bytes
    return records


def sync_of(receipt: BlockReceipt, token: str) -> Sync:
    """Where the server stands after a block.

    Args:
        receipt: its answer.
        token: the present one, where the receipt names no other.
    """
    ack = receipt.ack
    return Sync(
        token=receipt.token or token,
        phase=receipt.phase,
        next_seq=ack.next_seq,
        committed_seq=ack.committed_seq,
        resume_seq=ack.resume_seq,
        controls=ack.controls,
        last_event=receipt.last_event,
        received=ack.received,
        credit_ms=ack.credit_ms,
        next_stream=receipt.next_stream,
        audio_ms=receipt.audio_ms,
        header_seq=receipt.header_seq,
        end_seq=receipt.end_seq,
    )


def last_receipt(last_event: str, phase: str, received: Received, after: int) -> BlockReceipt:
    """What a finished session still answers.

    Args:
        last_event: the frame that told its end; empty if there is none.
        phase: that it ended in.
        received: the server's half of its ledger.
        after: the highest numbered event that the client has applied.
    """
    message = decode_numbered(last_event) if last_event else None
    number = message.event if message else 0
    return BlockReceipt(
        ServerAck(seq=None, next_seq=received.accepted + received.lost, received=received),
        phase,
        events=(message,) if message and number > after else (),
        last_event=number,
    )

"""From messages to frames and back: JSON text frames, and binary frames of audio."""

from __future__ import annotations

import binascii
import struct
from typing import Final, TypeVar

import msgspec

from rtstt_lab.errors import ChecksumError, ChunkTooLargeError, MalformedFrameError, RtsttError
from rtstt_lab.protocol.client_messages import AudioHeader, ClientMessage
from rtstt_lab.protocol.schema import MAX_CHUNK_BYTES, MAX_HEADER_BYTES, Message
from rtstt_lab.protocol.server_messages import NumberedMessage, ServerError, ServerMessage

_client_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
_server_decoder: Final[msgspec.json.Decoder[ServerMessage]] = msgspec.json.Decoder(ServerMessage)
_numbered_decoder: Final[msgspec.json.Decoder[NumberedMessage]] = msgspec.json.Decoder(NumberedMessage)
_header_decoder: Final = msgspec.json.Decoder(AudioHeader)
_encoder: Final = msgspec.json.Encoder()
_LENGTH: Final = struct.Struct("<I")


def encode(message: Message) -> str:
    """The text frame of a message."""
    return _encoder.encode(message).decode()


def decode_client_message(frame: str) -> ClientMessage:
    """Reads a client's text frame.

    Raises:
        MalformedFrameError: no JSON, an unknown type, a missing, mistyped or out-of-range field.
    """
    return _decode(_client_decoder, frame)


def decode_server_message(frame: str) -> ServerMessage:
    """Reads a server's text frame.

    Raises:
        MalformedFrameError: no JSON, an unknown type, a missing, mistyped or out-of-range field.
    """
    return _decode(_server_decoder, frame)


def decode_numbered(frame: str) -> NumberedMessage:
    """Reads a frame of the numbered event log."""
    return _decode(_numbered_decoder, frame)


def encode_audio(header: AudioHeader, payload: bytes) -> bytes:
    """The binary frame of one chunk."""
    head = _encoder.encode(header)
    return _LENGTH.pack(len(head)) + head + payload


def decode_audio(frame: bytes) -> tuple[AudioHeader, bytes]:
    """Reads a binary frame and checks its length, size and checksum.

    Raises:
        MalformedFrameError: too short, a header that cannot be read or is too long, a payload of another
            length.
        ChunkTooLargeError: a payload over `MAX_CHUNK_BYTES`; its ``seq`` is in the error's parameters.
        ChecksumError: a payload that was changed on the way; its ``seq`` is in the error's parameters.
    """
    header, payload = split_audio(frame)
    check_payload(header, payload)
    return header, payload


def split_audio(frame: bytes) -> tuple[AudioHeader, bytes]:
    """Takes a binary frame apart, without holding the payload against the header (`check_payload`).

    Raises:
        MalformedFrameError: too short, or a header that cannot be read or is too long.
    """
    if len(frame) < _LENGTH.size:
        raise MalformedFrameError("frame_short", bytes=len(frame))
    (length,) = _LENGTH.unpack_from(frame)
    if not 0 < length <= MAX_HEADER_BYTES or _LENGTH.size + length > len(frame):
        raise MalformedFrameError("frame_header_length", length=length, limit=MAX_HEADER_BYTES)
    header = _decode(_header_decoder, frame[_LENGTH.size : _LENGTH.size + length])
    return header, frame[_LENGTH.size + length :]


def check_payload(header: AudioHeader, payload: bytes, limit: int = MAX_CHUNK_BYTES) -> None:
    """Holds a payload against its header.

    Raises:
        ChunkTooLargeError: over ``limit`` bytes, by the header's word or in fact.
        MalformedFrameError: not of the announced length.
        ChecksumError: not of the announced CRC-32.
    """
    if max(len(payload), header.bytes) > limit:
        raise ChunkTooLargeError(
            "chunk_too_large", seq=header.seq, bytes=max(len(payload), header.bytes), limit=limit
        )
    if len(payload) != header.bytes:
        raise MalformedFrameError("frame_length", seq=header.seq, bytes=len(payload), announced=header.bytes)
    if binascii.crc32(payload) != header.crc32:
        raise ChecksumError("checksum", seq=header.seq)


def server_error(
    error: RtsttError,
    *,
    retryable: bool = False,
    fatal: bool = False,
    seq: int | None = None,
    event: int = 0,
) -> ServerError:
    """An exception of the house as the message that tells of it."""
    plain = {
        name: value if isinstance(value, str | int | float | None) else str(value)
        for name, value in error.parameters.items()
    }
    retry_after_s = getattr(error, "retry_after_s", None)
    return ServerError(
        code=error.key,
        message=str(error),
        parameters=plain,
        retryable=retryable,
        fatal=fatal,
        retry_after_ms=None if retry_after_s is None else round(retry_after_s * 1000),
        seq=seq,
        event=event,
    )


_Decoded = TypeVar("_Decoded")


def _decode(decoder: msgspec.json.Decoder[_Decoded], frame: str | bytes) -> _Decoded:
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedFrameError("frame_malformed", reason=str(error)[:200]) from error

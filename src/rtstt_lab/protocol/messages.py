"""Every message of ``rtstt.v1``, one type each: what the wire carries, and nothing of what it means.

Text frames are JSON objects told apart by ``type``. Unknown fields are ignored, so fields may be added; an unknown
``type`` is a `MalformedFrameError`. An audio frame is binary: a 32-bit little-endian length, a JSON header of that many
bytes, the payload. Times on the wire are integers in milliseconds. JSON Schemas are generated from these types
(`scripts/make_docs.py`).
"""

from __future__ import annotations

import binascii
import struct
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from rtstt_lab.errors import ChecksumError, ChunkTooLargeError, MalformedFrameError, RtsttError

PROTOCOL: Final = "rtstt.v1"
MAX_CHUNK_BYTES: Final = 1_000_000
"""A payload over this is rejected for good (S1, D1)."""
MAX_HEADER_BYTES: Final = 4_096
MAX_MESSAGE_BYTES: Final = 2_000_000
"""Of a whole frame, base64 included: the transport's own limit."""
MAX_MISSING: Final = 64
MAX_DURATION_MS: Final = 60_000
"""Of one chunk."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
ShortText: TypeAlias = Annotated[str, Meta(max_length=256)]
ControlAction: TypeAlias = Literal["start", "pause", "resume", "stop", "flush"]
Secret: TypeAlias = Annotated[str, Meta(max_length=512)]


class Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """What every message shares: frozen, told apart by ``type``, defaults left off the wire."""


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a message, without a type of its own."""


# --- client → server ---------------------------------------------------------------------------------------------


class ClientHello(Message, frozen=True, tag="client:hello"):
    """The first frame on every socket, within 5 s of its opening.

    Attributes:
        token: the session's present token, or the API token.
        last_event: the highest numbered event applied; 0 asks for everything from the beginning.
        held: first and last chunk in the client's buffer, or nothing if it is empty.
        protocol: what the client speaks.
        resuming: the client has been answered before in this session; otherwise it takes its first numbers from `Sync`.
        attempt: counts the client's sockets, so that a hello that arrives late is not taken for a newer one.
    """

    token: Secret
    last_event: Count = 0
    held: tuple[Sequence, Sequence] | None = None
    protocol: ShortText = PROTOCOL
    resuming: bool = False
    attempt: Count = 0


class AudioHeader(Message, frozen=True, tag="client:audio_chunk"):
    """Header of a binary audio frame.

    Attributes:
        seq: number from 0, without gaps over the session's life.
        stream: number of the recorder instance (one container header each), from 0.
        bytes: length of the payload.
        crc32: CRC-32 (IEEE 802.3, as zlib computes it) of the payload.
        duration_ms: of its audio.
        captured_ms: when its audio began, on the client's clock, counted from its first connection or start.
        sent_ms: when it was sent, on the same clock.
        mime: on a stream's first chunk, and on its first one after each reconnection.
        lost: the client has the audio no more (or it is over the limit): no payload, a hole of ``duration_ms``.
    """

    seq: Sequence
    stream: Sequence
    bytes: Count
    crc32: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    duration_ms: Annotated[int, Meta(ge=0, le=MAX_DURATION_MS)]
    captured_ms: Milliseconds
    sent_ms: Milliseconds
    mime: ShortText | None = None
    lost: bool = False


class AudioText(AudioHeader, frozen=True, tag="client:audio_chunk", kw_only=True):
    """The JSON form of an audio frame, for clients without binary frames: the payload as base64."""

    data: bytes


class ClientControl(Message, frozen=True, tag="client:control"):
    """A button.

    Attributes:
        action: what is asked for; repeats are no-ops.
        n: the controls' own number, from 1 without gaps.
        at_seq: takes effect between the chunks at_seq − 1 and at_seq; for stop, last chunk + 1.
    """

    action: ControlAction
    n: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    at_seq: Sequence


class LatencyFigures(Item, frozen=True):
    """The client's view of latency (M1), over the chunks of speech so far."""

    n: Count
    mean_ms: Milliseconds
    p50_ms: Milliseconds
    p95_ms: Milliseconds


class ClientAck(Message, frozen=True, tag="client:ack"):
    """What the client has applied.

    Attributes:
        event: highest numbered event.
        latency: figures of M1, now and then.
    """

    event: Count
    latency: LatencyFigures | None = None


class ClientPing(Message, frozen=True, tag="client:ping"):
    """Is anybody there? Answered by `ServerPong` with the same ``sent_ms``."""

    sent_ms: Milliseconds


class ClientPong(Message, frozen=True, tag="client:pong"):
    """Answer to `ServerPing`, echoing its ``sent_ms``."""

    sent_ms: Milliseconds


ClientMessage: TypeAlias = ClientHello | AudioText | ClientControl | ClientAck | ClientPing | ClientPong

# --- server → client ---------------------------------------------------------------------------------------------


class Limits(Item, frozen=True):
    """What a session may do; told before the first chunk."""

    max_chunk_bytes: Count = MAX_CHUNK_BYTES
    max_session_s: Count = 3_600
    max_chunks_per_s: Count = 20
    max_reconnections_per_h: Count = 60
    credit_ms: Milliseconds = 120_000


class Received(Item, frozen=True):
    """The server's half of the ledger. ``accepted + lost`` is its ``next_seq``, always.

    Attributes:
        accepted: transmissions whose chunk was taken, counted when its turn in the order has come.
        duplicate: transmissions of chunks already seen.
        rejected: transmissions that brought no audio: damaged, too large, after the end, or marked as lost.
        lost: chunks given up as holes.
    """

    accepted: Count = 0
    duplicate: Count = 0
    rejected: Count = 0
    lost: Count = 0


class Sync(Item, frozen=True):
    """Where the server stands; with it both sides continue from the same point after a (re)connection.

    Attributes:
        token: the token for the next hello; the present one stays valid until the first hello under this one.
        phase: the server's phase.
        next_seq: the first chunk that it has not got.
        committed_seq: chunks below are disposed of for good.
        resume_seq: chunks below are not needed even by a freshly started decoder.
        controls: the highest control number applied.
        last_event: the newest numbered event; those after the client's follow as messages of their own.
        received: the ledger so far.
        credit_ms: how much audio the server takes now.
        next_stream: the first stream number not yet used.
        audio_ms: how much audio lies below ``next_seq``, holes included.
    """

    token: Secret
    phase: ShortText
    next_seq: Sequence
    committed_seq: Sequence
    resume_seq: Sequence
    controls: Count
    last_event: Count
    received: Received
    credit_ms: Milliseconds = 0
    next_stream: Sequence = 0
    audio_ms: Milliseconds = 0


class SessionCreated(Message, frozen=True, tag="server:session_created"):
    """Answer to the first hello of a client; a client that was answered before gets a resumed `Status`."""

    session_id: ShortText
    protocol: ShortText
    model: ShortText
    language: ShortText | None
    limits: Limits
    sync: Sync


class ServerAck(Message, frozen=True, tag="server:ack"):
    """Answer to every audio frame whose number can be read; also sent when marks or credit change without one.

    Attributes:
        seq: the frame's number, echoed; null where no frame is answered.
        next_seq: the first chunk not yet received: everything below is in the server's memory.
        missing: numbers asked for again, at most 64.
        committed_seq: everything below is disposed of for good.
        resume_seq: everything below is not needed even by a freshly started decoder.
        credit_ms: how much more audio the server takes before it asks to wait.
        client_sent_ms: ``sent_ms`` of the frame, echoed.
        received_ms: server's clock at receipt.
        sent_ms: server's clock at this answer.
        received: the server's half of the ledger after this frame.
        controls: the highest control number applied.
    """

    seq: Sequence | None
    next_seq: Sequence
    missing: Annotated[tuple[Sequence, ...], Meta(max_length=MAX_MISSING)] = ()
    committed_seq: Sequence = 0
    resume_seq: Sequence = 0
    credit_ms: Milliseconds = 0
    client_sent_ms: Milliseconds = 0
    received_ms: Milliseconds = 0
    sent_ms: Milliseconds = 0
    received: Received = Received()
    controls: Count = 0


class WireWord(Item, frozen=True):
    """A word; ``text`` keeps its leading space."""

    text: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    probability: Probability


class TranscriptionPartial(Message, frozen=True, tag="server:transcription_partial"):
    """The present view of an open segment; replaces its earlier partial. Not numbered, not repeated on resume.

    Attributes:
        committed: how many leading words will never change.
        audio_end_ms: the newest audio that was heard for it.
    """

    segment: Count
    revision: Count
    text: str
    words: tuple[WireWord, ...]
    committed: Count
    audio_end_ms: Milliseconds


class TranscriptionFinal(Message, frozen=True, tag="server:transcription_final"):
    """A closed segment; immutable. Numbered: repeated on resume until the client has applied it."""

    segment: Count
    text: str
    words: tuple[WireWord, ...]
    confidence: Probability
    language: ShortText
    audio_end_ms: Milliseconds
    event: Count


class Alert(Item, frozen=True):
    """A condition that a person should see, switched on or off (A1–A3, E3).

    Attributes:
        name: ``latency``, ``memory``, ``reconnections``, ``length``, ``no_audio``, ``backpressure``.
        value: the figure behind it, in the unit that the text says.
    """

    name: ShortText
    on: bool
    value: float = 0.0


class Status(Message, frozen=True, tag="server:status"):
    """A change that matters to a person.

    Attributes:
        state: one of the eight shown states, lower case; ``connected`` on a resumption.
        phase: the server's phase.
        controls: the highest control number applied.
        resumed: this is the first message after a reconnection; `sync` is there then.
        degraded: what the server does less of at the moment, and why; empty when all is well.
        event: number, where it must not be missed; 0 otherwise.
    """

    state: ShortText
    phase: ShortText
    controls: Count = 0
    resumed: bool = False
    sync: Sync | None = None
    degraded: ShortText = ""
    alert: Alert | None = None
    language: ShortText | None = None
    event: Count = 0


class AudioQuality(Item, frozen=True):
    """Of the last second of audio (M3): dBFS, shares of samples, and whether there is any sound."""

    level_dbfs: float
    peak_dbfs: float
    clipped_ratio: float
    noise_dbfs: float
    speech: bool


class Metrics(Message, frozen=True, tag="server:metrics"):
    """Once a second (M2, M3). CPU and memory are those of the server's process tree and of the host or container."""

    audio_s: float
    heard_s: float
    settled_s: float
    queue_ms: Milliseconds
    decode_ms: Milliseconds
    cpu_percent: float
    process_cpu_s: float
    rss_mb: float
    ram_available_mb: float
    gpu: ShortText = ""
    gpu_percent: float | None = None
    chunks_per_s: float = 0.0
    received: Received = Received()
    confidence: float | None = None
    errors: Count = 0
    quality: AudioQuality | None = None


class ServerError(Message, frozen=True, tag="server:error"):
    """Something went wrong.

    Attributes:
        code: key of the text in ``texts/*/errors.json``, for a client that speaks the person's language.
        message: the same in English.
        parameters: the text's placeholders.
        retryable: doing the same again may work.
        fatal: the attempt is over; the socket is closed after this.
        retry_after_ms: when to try again.
        seq: the chunk it is about.
        event: number, where it must not be missed; 0 otherwise.
    """

    code: ShortText
    message: str
    parameters: dict[str, str | int | float | None] = {}
    retryable: bool = False
    fatal: bool = False
    retry_after_ms: Milliseconds | None = None
    seq: Sequence | None = None
    event: Count = 0


class Summary(Item, frozen=True):
    """What became of a session."""

    duration_s: float
    words: Count
    confidence: float | None
    latency: LatencyFigures | None
    received: Received
    file: str
    complete: bool
    language: ShortText | None
    process_cpu_s: float = 0.0


class SessionCompleted(Message, frozen=True, tag="server:session_completed"):
    """The transcript is saved; the session is purged once this is acknowledged, or after the grace time."""

    summary: Summary
    event: Count


class ServerPing(Message, frozen=True, tag="server:ping"):
    """Is anybody there? Answered by `ClientPong` with the same ``sent_ms``."""

    sent_ms: Milliseconds


class ServerPong(Message, frozen=True, tag="server:pong"):
    """Answer to `ClientPing`, echoing its ``sent_ms``, with the server's clock."""

    sent_ms: Milliseconds
    server_ms: Milliseconds


ServerMessage: TypeAlias = (
    SessionCreated
    | ServerAck
    | TranscriptionPartial
    | TranscriptionFinal
    | Status
    | Metrics
    | ServerError
    | SessionCompleted
    | ServerPing
    | ServerPong
)

# --- REST bodies -------------------------------------------------------------------------------------------------


class CreateSession(Item, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/streaming/sessions``."""

    model: ShortText | None = None
    language: ShortText | None = None
    prompt: Annotated[str, Meta(max_length=2_000)] | None = None
    metadata: dict[ShortText, ShortText] = {}


class CreatedSession(Item, frozen=True):
    """Its answer, 201."""

    session_id: ShortText
    ws_path: ShortText
    session_token: Secret
    limits: Limits
    protocol: ShortText = PROTOCOL


# --- frames ------------------------------------------------------------------------------------------------------

_client_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
_server_decoder: Final[msgspec.json.Decoder[ServerMessage]] = msgspec.json.Decoder(ServerMessage)
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


def encode_audio(header: AudioHeader, payload: bytes) -> bytes:
    """The binary frame of one chunk."""
    head = _encoder.encode(header)
    return _LENGTH.pack(len(head)) + head + payload


def decode_audio(frame: bytes) -> tuple[AudioHeader, bytes]:
    """Reads a binary frame and checks its length, size and checksum.

    Raises:
        MalformedFrameError: too short, a header that cannot be read or is too long, a payload of another length.
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

"""What a client sends, one type each."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from rtstt_lab.protocol.schema import (
    MAX_DURATION_MS,
    PROTOCOL,
    ControlAction,
    Count,
    LatencyFigures,
    Message,
    Milliseconds,
    Secret,
    Sequence,
    ShortText,
)


class ClientHello(Message, frozen=True, tag="client:hello"):
    """The first frame on every socket, within 5 s of its opening.

    Attributes:
        token: the session's present token, or the API token.
        last_event: the highest numbered event applied; 0 asks for everything from the beginning.
        held: first and last chunk in the client's buffer, or nothing if it is empty; its numbers begin at 0,
            unless it is ``resuming``.
        protocol: what the client speaks.
        resuming: the client has been answered before in this session; otherwise it takes its first numbers
            from `Sync`.
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
        stream: number of the recorder instance (one container header each), from 0; the next one is a
            `Sequence`, too.
        bytes: length of the payload.
        crc32: CRC-32 (IEEE 802.3, as zlib computes it) of the payload.
        duration_ms: of its audio.
        captured_ms: when its audio began, on the client's clock, counted from its first connection or start.
        sent_ms: when it was sent, on the same clock.
        mime: on a stream's first chunk, and on its first one after each reconnection.
        lost: the client has the audio no more (or it is over the limit): no payload, a hole of
            ``duration_ms``.
        header: sent again for its container's header only, because `Sync.header_seq` asks for it; not taken
            as a chunk, and counted as a duplicate.
    """

    seq: Sequence
    stream: Annotated[int, Meta(ge=0, le=2**31 - 2)]
    bytes: Count
    crc32: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    duration_ms: Annotated[int, Meta(ge=0, le=MAX_DURATION_MS)]
    captured_ms: Milliseconds
    sent_ms: Milliseconds
    mime: ShortText | None = None
    lost: bool = False
    header: bool = False


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

"""What a server sends, one type each."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from rtstt_lab.protocol.schema import (
    MAX_MISSING,
    Count,
    Item,
    LatencyFigures,
    Limits,
    Message,
    Milliseconds,
    Probability,
    Received,
    Secret,
    Sequence,
    ShortText,
)


class Sync(Item, frozen=True):
    """Where the server stands; with it both sides continue from the same point after a (re)connection.

    Attributes:
        token: the token for the next hello; the present one stays valid until the first hello under this one.
        phase: the server's phase.
        next_seq: the first chunk that it has not got. Lower than an earlier one after the server was
            restarted: everything from here on is wanted again.
        committed_seq: chunks below are disposed of for good.
        resume_seq: chunks below are not needed even by a freshly started decoder.
        controls: the highest control number applied.
        last_event: the newest numbered event; those after the client's follow as messages of their own.
        received: the ledger so far.
        credit_ms: how much audio the server takes now.
        next_stream: the first stream number not yet used.
        audio_ms: how much audio lies below ``next_seq``, holes included.
        header_seq: the first chunk of the recorder that ``next_seq`` belongs to, where its container's header
            is needed again (no decoder has it any more); it comes before all others, marked as ``header``.
        end_seq: of a session that has stopped, and whose server was restarted: the chunks below are wanted,
            also those that the client was never told to be received.
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
    header_seq: Sequence | None = None
    end_seq: Sequence | None = None


class SessionCreated(Message, frozen=True, tag="server:session_created"):
    """Answer to the first hello of a client; a client that was answered before gets a resumed `Status`."""

    session_id: ShortText
    protocol: ShortText
    model: ShortText
    language: ShortText | None
    limits: Limits
    sync: Sync


class ServerAck(Message, frozen=True, tag="server:ack"):
    """Answer to every audio frame with a number; also sent when marks or credit change without one.

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
    """The present view of an open segment; replaces its earlier one. Not numbered, not sent again.

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
        name: ``latency``, ``memory``, ``reconnections``, ``length``, ``no_audio``, ``backpressure``,
            ``hanging`` (the recognizer does not answer).
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
    """Once a second (M2, M3).

    CPU and memory are those of the server's process tree and of the host or container.
    """

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
    parameters: dict[str, str | int | float | None] = msgspec.field(default_factory=dict)
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


NumberedMessage: TypeAlias = TranscriptionFinal | Status | ServerError | SessionCompleted


class RejectedRecord(Item, frozen=True):
    """A record of a block that was not taken; what is wanted again is in the receipt's ``ack.missing``.

    Attributes:
        seq: the chunk's number, or the ``at_seq`` of a control.
        code: as in `ServerError`.
        message: the same in English.
    """

    seq: Sequence
    code: ShortText
    message: str


class BlockReceipt(Item, frozen=True):
    """Answer to ``POST …/blocks``, 202: what became of the block, and what happened since.

    Attributes:
        ack: the marks after it, as over the socket.
        phase: the server's phase.
        header_seq: see `Sync`.
        token: the token to go on with, if it is another one.
        events: the numbered messages after the one that the request names, in order.
        rejected: the records that were not taken.
        last_event: the newest numbered event; those that did not fit come with the next receipt.
        next_stream: see `Sync`.
        audio_ms: see `Sync`.
        end_seq: see `Sync`.
    """

    ack: ServerAck
    phase: ShortText
    header_seq: Sequence | None = None
    token: Secret | None = None
    events: tuple[NumberedMessage, ...] = ()
    rejected: tuple[RejectedRecord, ...] = ()
    last_event: Count = 0
    next_stream: Sequence = 0
    audio_ms: Milliseconds = 0
    end_seq: Sequence | None = None


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

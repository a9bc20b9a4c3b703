"""What the two sessions tell those who drive them: frozen, and JSON-able by `as_json`.

An adapter drains ``events()`` after every call and acts on `OpenLink` and `CloseLink`; the rest is for
people, recorders and the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from rtstt_lab.protocol import messages
from rtstt_lab.protocol.lifecycle import Link, Mode, Phase, Shown
from rtstt_lab.types import AudioFormat

AlertName: TypeAlias = Literal["latency", "reconnections"]
LossReason: TypeAlias = Literal[
    "too_large", "buffer_full", "not_received", "unreadable", "given_up", "session_over"
]
"""Why a chunk is lost: over the limit; no room at the client; never arrived in time; a stream or format that
cannot be read; the client has it no more; captured after the session was over."""


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Adapter: open a socket now.

    Attributes:
        attempt: of this client, from 0.
    """

    attempt: int


@dataclass(frozen=True, slots=True)
class SendBlock:
    """Adapter: post this, and tell `ClientSession.block_answered` or `block_failed`; another one replaces it.

    Attributes:
        block: its number, from 1.
        body: of the request; without records it only asks what is new.
        after: the highest numbered event applied.
        new: this client has not been answered before in this session.
        token: for the ``Authorization`` header.
    """

    block: int
    body: bytes
    after: int
    new: bool
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Adapter: write what is to be sent, then close; nothing more of that socket may be reported.

    Attributes:
        code: of the WebSocket's close frame.
        reason: a key of ``texts/*/errors.json``, or ``completed``, ``closed``, ``reconnect``.
        link: which one; the client has only one.
    """

    code: int
    reason: str
    link: int = 0


# --- of ClientSession ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateChanged:
    """Link, phase or mode is another one than before."""

    shown: Shown
    link: Link
    phase: Phase
    mode: Mode


@dataclass(frozen=True, slots=True)
class PartialReceived:
    """A new view of an open segment."""

    message: messages.TranscriptionPartial


@dataclass(frozen=True, slots=True)
class FinalReceived:
    """A closed segment; each exactly once, in order."""

    message: messages.TranscriptionFinal


@dataclass(frozen=True, slots=True)
class BlockReceived:
    """The server answered a block.

    Attributes:
        block: its number.
        receipt: the answer.
    """

    block: int
    receipt: messages.BlockReceipt


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The server answered a chunk, or told its marks or credit."""

    message: messages.ServerAck


@dataclass(frozen=True, slots=True)
class StatusReceived:
    """The server told of a change."""

    message: messages.Status


@dataclass(frozen=True, slots=True)
class MetricsReceived:
    """The server's figures of the last second."""

    message: messages.Metrics


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """Something went wrong; `message.code` is a key of ``texts/*/errors.json``."""

    message: messages.ServerError


@dataclass(frozen=True, slots=True)
class Completed:
    """The transcript is saved."""

    summary: messages.Summary


@dataclass(frozen=True, slots=True)
class Resumed:
    """The server answered again, after the link had been lost.

    Attributes:
        attempt: number of the link, as in `OpenLink`.
        outage_s: since the link before was lost.
        next_seq: the chunk that the server wants first.
    """

    attempt: int
    outage_s: float
    next_seq: int


@dataclass(frozen=True, slots=True)
class ChunksLost:
    """Audio that will not be recognised, said out loud.

    Attributes:
        first: number of the first chunk.
        last: number of the last one.
        reason: see `LossReason`.
    """

    first: messages.Sequence
    last: messages.Sequence
    reason: LossReason


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """A person should see this.

    Attributes:
        name: ``latency`` (A1, value in s) or ``reconnections`` (A3, their number: block mode is suggested).
        value: the figure behind it.
    """

    name: AlertName
    value: float


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """It is over; fields as in `AlertRaised`."""

    name: AlertName
    value: float


ClientEvent: TypeAlias = (
    OpenLink
    | SendBlock
    | CloseLink
    | StateChanged
    | PartialReceived
    | FinalReceived
    | AckReceived
    | BlockReceived
    | StatusReceived
    | MetricsReceived
    | ErrorReceived
    | Completed
    | Resumed
    | ChunksLost
    | AlertRaised
    | AlertCleared
)

# --- of ServerSession ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """A client proved who it is and was answered; it is the session's one client now.

    Attributes:
        link: its link.
        resumed: whether it had been connected before.
    """

    link: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class ClientLost:
    """The session's client is gone; when another one takes over, its `Opened` follows."""

    link: int


@dataclass(frozen=True, slots=True)
class HelloRejected:
    """A link that was turned away.

    Attributes:
        link: its number.
        code: key of the error that it was told.
    """

    link: int
    code: str


@dataclass(frozen=True, slots=True)
class ChunkAccepted:
    """The next chunk, checked; in order, each once.

    Attributes:
        header: of its frame.
        payload: its bytes.
        format: of its recorder.
        first_payload: the recorder's first chunk, where a decoder that does not know it needs its header.
    """

    header: messages.AudioHeader
    payload: bytes
    format: AudioFormat
    first_payload: bytes = b""


@dataclass(frozen=True, slots=True)
class HoleDeclared:
    """The next chunk will never come: its time is to be kept as silence.

    Attributes:
        seq: its number, in order with those of `ChunkAccepted`.
        stream: the recorder that it belonged to, as far as known.
        duration_ms: its own where it is known, else estimated from its neighbours' capture times.
        reason: see `LossReason`; ``disposed`` is no loss: what was said in it is known already.
    """

    seq: int
    stream: int
    duration_ms: int
    reason: LossReason | Literal["disposed"]


@dataclass(frozen=True, slots=True)
class ControlApplied:
    """A button took effect, in order with the chunks around it; the phase has changed already."""

    action: messages.ControlAction
    n: int
    at_seq: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The client has applied the numbered events up to this one."""

    event: int
    latency: messages.LatencyFigures | None


ServerEvent: TypeAlias = (
    CloseLink
    | Opened
    | ClientLost
    | HelloRejected
    | ChunkAccepted
    | HoleDeclared
    | ControlApplied
    | Acknowledged
)


def as_json(event: ClientEvent | ServerEvent) -> dict[str, Any]:
    """The event as plain objects, its class name under ``type``."""
    return {"type": type(event).__name__, **msgspec.to_builtins(event)}

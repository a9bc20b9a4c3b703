"""What all messages share: bounds, field types, base types, and the bodies of REST calls."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

PROTOCOL: Final = "rtstt.v1"
MAX_CHUNK_BYTES: Final = 1_000_000
"""A payload over this is rejected for good (S1, D1)."""
MAX_HEADER_BYTES: Final = 4_096
MAX_MESSAGE_BYTES: Final = 2_000_000
"""Of a whole frame, base64 included: the transport's own limit."""
MAX_MISSING: Final = 64
MAX_DURATION_MS: Final = 60_000
"""Of one chunk."""
MAX_BLOCK_BYTES: Final = 8 * 2**20
"""Of the body of one block."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
ShortText: TypeAlias = Annotated[str, Meta(max_length=256)]
ControlAction: TypeAlias = Literal["start", "pause", "resume", "stop", "flush"]
Secret: TypeAlias = Annotated[str, Meta(max_length=512)]
Origin: TypeAlias = Annotated[str, Meta(max_length=256, pattern=r"^[a-z][a-z0-9+.\-]*://[^\s/?#@,\\]+$")]
"""Of a web page, as ``location.origin`` spells it; an opaque one (``null``) is none."""


class Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """What every message shares: frozen, told apart by ``type``, defaults left off the wire; no cycles."""


class Item(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of a message, without a type of its own; no cycles."""


class LatencyFigures(Item, frozen=True):
    """The client's view of latency (M1), over the chunks of speech so far."""

    n: Count
    mean_ms: Milliseconds
    p50_ms: Milliseconds
    p95_ms: Milliseconds


class Limits(Item, frozen=True):
    """What a session may do; told before the first chunk."""

    max_chunk_bytes: Count = MAX_CHUNK_BYTES
    max_session_s: Count = 3_600
    max_chunks_per_s: Count = 20
    max_reconnections_per_h: Count = 60
    credit_ms: Milliseconds = 120_000
    max_block_bytes: Count = MAX_BLOCK_BYTES


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


class CreateSession(Item, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/streaming/sessions``.

    Attributes:
        origin: of the page that the session is for: of browsers, that page and no other may then use it (S3).
    """

    model: ShortText | None = None
    language: ShortText | None = None
    prompt: Annotated[str, Meta(max_length=2_000)] | None = None
    metadata: dict[ShortText, ShortText] = {}
    origin: Origin | None = None


class CreatedSession(Item, frozen=True):
    """Its answer, 201.

    Attributes:
        exposed: the server is open to other machines without encryption or a token of its owner's choice
            (``--insecure``); a panel says so.
        model: its model's name.
    """

    session_id: ShortText
    ws_path: ShortText
    session_token: Secret
    limits: Limits
    protocol: ShortText = PROTOCOL
    exposed: bool = False
    model: ShortText = ""


class RenewToken(Item, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/streaming/sessions/{id}/token``.

    Attributes:
        origin: of the page that the token is for; it may use the session besides those named before.
    """

    origin: Origin | None = None

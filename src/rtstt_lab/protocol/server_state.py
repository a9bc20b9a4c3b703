"""What a server's session goes on from when it is taken up again: its end of the conversation, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.schema import Count, Item, Milliseconds, Received, Sequence


class IntakeState(Item, frozen=True):
    """What lies below one chunk, so that audio can be taken from there on again.

    Attributes:
        next_seq: that chunk.
        received: the ledger of what lies below; transmissions that brought nothing new count as they come.
        audio_ms: of audio below, holes included.
        captured_ms: where the chunk before ends, on the recorder's clock.
        stream: the recorder of the chunk before; -1 before the first.
        mime: its type; empty before the first.
        first_seq: its first chunk, which begins with the container's header.
        holes: from ``next_seq`` on, those that are disposed of: number and length in ms.
    """

    next_seq: Sequence = 0
    received: Received = Received()
    audio_ms: Milliseconds = 0
    captured_ms: Milliseconds = 0
    stream: int = -1
    mime: str = ""
    first_seq: Sequence = 0
    holes: tuple[tuple[Sequence, Count], ...] = ()


@dataclass(frozen=True, slots=True)
class ProtocolState:
    """A session's conversation, as far as a new server needs to know it; by default, that of a new session.

    Attributes:
        token_hashes: of the valid tokens, the present one first.
        phase: how far it was.
        controls: the highest control number applied.
        at_seq: the chunks below this one came before that phase began.
        frames: the numbered events, from 1.
        committed_seq: chunks below are disposed of for good.
        intake: what lies below the chunk that a fresh decoder starts from.
        header_seq: the first chunk of its recorder, if the decoder needs that one's header.
        disposed_ms: audio from that chunk on that is disposed of.
    """

    token_hashes: tuple[str, ...]
    phase: Phase = Phase.IDLE
    controls: int = 0
    at_seq: int = 0
    frames: tuple[str, ...] = ()
    committed_seq: int = 0
    intake: IntakeState = field(default_factory=IntakeState)
    header_seq: int | None = None
    disposed_ms: int = 0

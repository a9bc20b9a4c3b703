"""A session at one moment, for those who look at it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase


class Stage(StrEnum):
    """What is still to be done for a session, whatever its client sees."""

    OPEN = "open"
    FINISHING = "finishing"
    SAVING = "saving"
    ENDED = "ended"
    SUSPENDED = "suspended"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session, for REST.

    Attributes:
        session_id: its id.
        phase: as clients see it.
        stage: what is still to be done.
        started_at: with time zone.
        model: name of its model.
        language: ISO 639-1 code, if known.
        audio_s: the audio clock.
        waiting_s: audio that no decode has reached.
        words: final ones.
        finals: segments.
        connected: a client is there.
        received: the server's half of the ledger.
        metrics: of the last second; ``None`` before the first.
        file: name of the saved transcript, or empty.
    """

    session_id: str
    phase: Phase
    stage: Stage
    started_at: datetime
    model: str
    language: str | None
    audio_s: float
    waiting_s: float
    words: int
    finals: int
    connected: bool
    received: wire.Received
    metrics: wire.Metrics | None
    file: str

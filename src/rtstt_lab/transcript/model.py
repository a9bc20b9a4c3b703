"""A transcript, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rtstt_lab.types import Final, Word


@dataclass(frozen=True, slots=True)
class Transcript:
    """The final text of one session or file.

    Attributes:
        session_id: whose it is; a file's name where there was no session.
        started_at: with time zone; names the file.
        finals: in the order of their first words' times, whatever order they were given in.
        duration_s: audio recorded, pauses excluded.
        mean_latency_s: as the client measured it (M1); ``None`` where nobody did.
        model: name of the model.
        language: ISO 639-1 code, if known.
        complete: all audio that was recorded is in it.
    """

    session_id: str
    started_at: datetime
    finals: tuple[Final, ...]
    duration_s: float
    mean_latency_s: float | None
    model: str
    language: str | None
    complete: bool

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None:
            raise ValueError("started_at without a time zone")
        ordered = tuple(sorted(self.finals, key=lambda final: final.words[0].start_s))
        object.__setattr__(self, "finals", ordered)

    @property
    def text(self) -> str:
        """All of it, one segment a line."""
        return "\n".join(final.text for final in self.finals)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words, in order."""
        return tuple(word for final in self.finals for word in final.words)

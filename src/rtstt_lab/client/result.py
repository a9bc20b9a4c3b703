"""What a client holds in its hands when a session is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol.messages import Summary, TranscriptionFinal
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.records import Tables, tables_of
from rtstt_lab.types import Final, Word


@dataclass(frozen=True, slots=True)
class WordRecord:
    """One word and when it became certain.

    Attributes:
        word: as the model wrote it, with its leading space.
        start_s: first sample, on the audio clock.
        end_s: last sample.
        probability: 0 to 1.
        emitted_s: when it was first sent in a committed prefix or a final, on the client's clock.
    """

    word: str
    start_s: float
    end_s: float
    probability: float
    emitted_s: float


@dataclass(frozen=True, slots=True)
class PartialRecord:
    """One view of an open segment and when it arrived, on the client's clock."""

    emitted_s: float
    text: str


@dataclass(frozen=True)
class SessionResult:
    """One finished session. Times of the client's clock count from the beginning of the first chunk's audio.

    Attributes:
        session_id: of the session.
        model: as the server named it.
        language: that was asked for or detected; ``None`` where nothing was said.
        started_monotonic_s: the beginning of the first chunk's audio, on the clock that streamed it.
        stopped_s: when stop was sent.
        finals: closed segments in the order of time.
        ledger: what became of every chunk and transmission.
        summary: the server's; ``None`` if it never came.
        error: what ended the session before its time; ``None`` if it is complete.
        events: as `rtstt_lab.records` defines them.
    """

    session_id: str
    model: str
    language: str | None
    started_monotonic_s: float
    stopped_s: float
    finals: tuple[Final, ...]
    ledger: Ledger
    summary: Summary | None
    error: RtsttError | None
    events: Sequence[Mapping[str, Any]]

    @property
    def text(self) -> str:
        """All that was recognised, in one line."""
        return " ".join(final.text for final in self.finals)

    @cached_property
    def tables(self) -> Tables:
        """The five tables of `rtstt_lab.records`."""
        return tables_of(self.events)

    @cached_property
    def words(self) -> tuple[WordRecord, ...]:
        """The final words, ordered by start."""
        columns = ["word", "start_s", "end_s", "probability", "emitted_s"]
        return tuple(WordRecord(*row) for row in self.tables["words"][columns].itertuples(index=False))

    @cached_property
    def partials(self) -> tuple[PartialRecord, ...]:
        """The views of open segments, in the order of their arrival."""
        views = self.tables["partials"]
        shown = views.loc[views["kind"] == "partial", ["emitted_s", "text"]]
        return tuple(PartialRecord(*row) for row in shown.itertuples(index=False))

    @property
    def duration_s(self) -> float:
        """Of the audio, without pauses."""
        return float(self.tables["chunks"]["duration_s"].sum())


def final_of(message: TranscriptionFinal) -> Final:
    """A final as it is passed around in the house."""
    words = (Word(w.text, w.start_ms / 1000, w.end_ms / 1000, w.probability) for w in message.words)
    return Final(message.segment, tuple(words), message.audio_end_ms / 1000, message.language)

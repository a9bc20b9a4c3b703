"""What of a session is new for its journal, and which marks may be told (``journal.py``)."""

from __future__ import annotations

from collections.abc import Iterable

from rtstt_lab.engine.journal import (
    CommittedRecord,
    EventRecord,
    LanguageRecord,
    MarkRecord,
    PhaseRecord,
    Record,
    SessionState,
    TailRecord,
    TokenRecord,
)
from rtstt_lab.engine.resumption import Mark
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.timing import to_ms
from rtstt_lab.protocol.wire_results import wire_word
from rtstt_lab.types import Final, Partial, Word


class Keeping:
    """Holds a session against what its journal says of it.

    Args:
        session: whose.
        state: what the journal says already, of a session that is taken up again.

    Attributes:
        failed: the journal cannot be written: no mark is told, so the client keeps its audio.
    """

    def __init__(self, session: ServerSession, state: SessionState | None) -> None:
        self.failed = False
        self._session = session
        self._hashes = state.token_hashes if state else ()
        self._phase = state.phase if state else None
        self._language = state.language if state else session.language
        self._events = len(state.frames) if state else 0
        self._segment = state.next_segment if state else 0
        self._committed: tuple[Word, ...] = ()
        self._committed_end_s = 0.0
        self._written = 0
        self._tail: tuple[Word, ...] = ()
        self._mark: Mark | None = None
        self._untold: Mark | None = None

    def result(self, result: Partial | Final) -> None:
        """A result is told: the words that will never change are to be kept."""
        if isinstance(result, Final):
            self._segment, self._committed, self._written = result.segment + 1, (), 0
        elif result.segment == self._segment:
            self._committed = result.words[: result.committed]
            self._committed_end_s = result.audio_end_s

    def new_words(self, final: Final) -> tuple[Word, ...]:
        """What a final says beyond the words that were told as committed."""
        return final.words[len(self._committed) :] if final.segment == self._segment else final.words

    def closing(self) -> Final | None:
        """The words of the open segment that were told as committed, as a final: nothing better will come."""
        words, language = self._committed, self._session.language or ""
        return Final(self._segment, words, self._committed_end_s, language) if words else None

    def tail(self, words: Iterable[Word]) -> None:
        """What was said besides, as far as can be told, of a session that is suspended."""
        self._tail = tuple(words)

    def mark(self, mark: Mark) -> None:
        """Audio is disposed of."""
        self._mark = self._untold = mark

    def tell_marks(self) -> None:
        """What the records say was written: the client may hear how far its audio is disposed of."""
        if self._untold is not None and not self.failed:
            self._session.commit(self._untold.committed_seq, self._untold.resume.seq)
            self._untold = None

    def records(self, *, whole: bool) -> list[Record]:
        """What is new since the last call, in the order in which it may be read.

        Args:
            whole: nothing of the session's audio is known to be lost.
        """
        return [*self._conversation(whole), *self._words(), *self._marks()]

    def _conversation(self, whole: bool) -> Iterable[Record]:
        session = self._session
        if session.token_hashes != self._hashes:
            self._hashes = session.token_hashes
            yield TokenRecord(self._hashes)
        for frame in session.events_after(self._events):
            yield EventRecord(frame)
        self._events = session.last_event
        now = (session.phase, session.controls_applied, whole)
        before = self._phase or PhaseRecord()
        if now != (before.phase, before.controls, before.whole):
            at_seq = max(session.next_seq, before.at_seq)  # while it catches up, it is not there yet
            self._phase = PhaseRecord(session.phase, session.controls_applied, at_seq, whole)
            yield self._phase

    def _words(self) -> Iterable[Record]:
        if (language := self._session.language) and language != self._language:
            self._language = language
            yield LanguageRecord(language)
        if words := self._committed[self._written :]:
            self._written = len(self._committed)
            yield CommittedRecord(self._segment, tuple(map(wire_word, words)), to_ms(self._committed_end_s))
        if self._tail:
            yield TailRecord(tuple(map(wire_word, self._tail)))
            self._tail = ()

    def _marks(self) -> Iterable[Record]:
        if (mark := self._mark) is not None:
            self._mark = None
            yield MarkRecord(
                mark.committed_seq,
                mark.resume.seq,
                mark.resume.at_s,
                mark.settled_s,
                mark.resume.shift_s,
                self._session.below(mark.resume.seq, mark.committed_seq),
            )

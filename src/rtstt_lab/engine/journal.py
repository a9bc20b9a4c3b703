"""What a session leaves behind for the server that takes it up again: text only, no audio.

Records are written in the order of what they tell, and each before the client hears of it; a mark comes after
the words that it covers. So whatever the moment at which a server is killed, `recover` says nothing that the
client does not know or will not be told, and the audio after its last mark is still with the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final as Constant
from typing import TypeAlias

import msgspec

from rtstt_lab.engine.resumption import AudioStart, Mark, Restart
from rtstt_lab.errors import MalformedFrameError, StorageError
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server_state import IntakeState, ProtocolState
from rtstt_lab.recognition.settings import RecognizerStart
from rtstt_lab.types import Final, Word

VERSION: Constant = 1
_REMEMBERED_S: Constant = 60.0


class _Record(msgspec.Struct, frozen=True, tag_field="record", omit_defaults=True, gc=False):
    """What all records share: told apart by ``record``, defaults left out; no cycles."""


class SessionRecord(_Record, frozen=True, tag="session"):
    """Always the first: what the session was created with. Written by who creates it.

    Attributes:
        session_id: its id.
        model: its model's name.
        started_at: with time zone.
        language: as asked for; ``None`` detects it.
        prompt: names and jargon.
        metadata: as given.
        limits: of the session.
        version: of this format.
    """

    session_id: str
    model: str
    started_at: datetime
    language: str | None = None
    prompt: str | None = None
    metadata: Mapping[str, str] = {}
    limits: wire.Limits = wire.Limits()
    version: int = VERSION


class TokenRecord(_Record, frozen=True, tag="tokens"):
    """The SHA-256 of each token that is valid from now on, the present one first."""

    hashes: tuple[str, ...]


class PagesRecord(_Record, frozen=True, tag="pages"):
    """Origins of the web pages that may use the session. Written by who lets them in."""

    origins: tuple[str, ...]


class PhaseRecord(_Record, frozen=True, tag="phase"):
    """How far the session is.

    Attributes:
        phase: the server's.
        controls: the highest control number applied.
        at_seq: the chunks below this one came before it.
        whole: nothing of its audio is known to be lost.
    """

    phase: Phase = Phase.IDLE
    controls: int = 0
    at_seq: int = 0
    whole: bool = True


class LanguageRecord(_Record, frozen=True, tag="language"):
    """The language is settled: ISO 639-1 code."""

    language: str


class EventRecord(_Record, frozen=True, tag="event"):
    """A numbered event, as it goes over the wire; a final among them."""

    frame: str


class CommittedRecord(_Record, frozen=True, tag="committed"):
    """More words of an open segment will never change; its final holds them all once more.

    Attributes:
        segment: its number.
        words: those that were not committed before.
        audio_end_ms: the newest audio that was heard for them.
    """

    segment: int
    words: tuple[wire.WireWord, ...]
    audio_end_ms: int


class TailRecord(_Record, frozen=True, tag="tail"):
    """What was said behind the committed words of a session that is suspended, as far as could be told.

    It is for the transcript that is saved if nobody comes back; a client that does brings the audio again.
    """

    words: tuple[wire.WireWord, ...]


class MarkRecord(_Record, frozen=True, tag="mark"):
    """Audio is disposed of: how far, and where a fresh decoder takes it up.

    Attributes:
        committed_seq: chunks below are disposed of for good.
        resume_seq: the chunk that a fresh decoder starts from.
        resume_s: where that chunk's audio begins on the audio clock, at the earliest.
        settled_s: audio before this is disposed of.
        shift_s: the audio clock minus the container's own, where a decoder needs the container's header.
        below: what lies below ``resume_seq``.
    """

    committed_seq: int
    resume_seq: int
    resume_s: float
    settled_s: float
    shift_s: float | None = None
    below: IntakeState = msgspec.field(default_factory=IntakeState)


Record: TypeAlias = (
    SessionRecord
    | TokenRecord
    | PagesRecord
    | PhaseRecord
    | LanguageRecord
    | EventRecord
    | CommittedRecord
    | TailRecord
    | MarkRecord
)


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as its journal leaves it.

    Attributes:
        session: what it was created with.
        token_hashes: of the valid tokens, the present one first.
        pages: origins of the web pages that may use it.
        phase: how far it is.
        language: ISO 639-1 code, if settled or asked for.
        frames: the numbered events, from 1.
        finals: the closed segments among them.
        segment: the number of the open one, or of the next.
        committed: its words that will never change.
        committed_end_ms: the newest audio that was heard for those.
        tail: see `TailRecord`.
        mark: the last one.
        alerts: what a person was told of and not yet that it is over.
        completed: how it ended, if it has.
    """

    session: SessionRecord
    token_hashes: tuple[str, ...]
    pages: tuple[str, ...]
    phase: PhaseRecord
    language: str | None
    frames: tuple[str, ...]
    finals: tuple[Final, ...]
    segment: int
    committed: tuple[Word, ...]
    committed_end_ms: int
    tail: tuple[Word, ...]
    mark: MarkRecord
    alerts: frozenset[str]
    completed: wire.SessionCompleted | None

    @property
    def start_s(self) -> float:
        """Everything before is disposed of; no word begins before this from now on."""
        ends = [words[-1].end_s for words in (*(f.words for f in self.finals[-1:]), self.committed) if words]
        return max([self.mark.settled_s, self.mark.resume_s, *ends])

    @property
    def recent(self) -> tuple[Word, ...]:
        """The words of the last minute: what a window that reaches back will hear once more."""
        since_s = self.start_s - _REMEMBERED_S
        words = chain.from_iterable((*(final.words for final in self.finals), self.committed))
        return tuple(word for word in words if word.start_s >= since_s)

    @property
    def closing(self) -> Final | None:
        """The open segment's committed words, as the final that they become when it is taken up again."""
        if not self.committed:
            return None
        return Final(self.segment, self.committed, self.committed_end_ms / 1000, self.language or "")

    @property
    def next_segment(self) -> int:
        """The number of the segment that comes next."""
        return self.segment + bool(self.committed)

    @property
    def protocol(self) -> ProtocolState:
        """What the new server's end of the conversation goes on from."""
        mark = self.mark
        return ProtocolState(
            token_hashes=self.token_hashes,
            phase=self.phase.phase,
            controls=self.phase.controls,
            at_seq=self.phase.at_seq,
            frames=self.frames,
            committed_seq=mark.committed_seq,
            intake=mark.below,
            header_seq=None if mark.shift_s is None else mark.below.first_seq,
            disposed_ms=round(1000 * (self.start_s - mark.resume_s)),
        )

    @property
    def last_mark(self) -> Mark:
        """Where the new engine's marks stand; what is settled reaches to the last word that was told."""
        mark = self.mark
        return Mark(mark.committed_seq, self.start_s, Restart(mark.resume_seq, mark.resume_s, mark.shift_s))

    @property
    def worker(self) -> AudioStart:
        """Where the new worker takes the audio up."""
        mark = self.mark
        return AudioStart(mark.resume_s, mark.below.stream, mark.shift_s)

    @property
    def recognizer(self) -> RecognizerStart:
        """What the new recognizer goes on from."""
        return RecognizerStart(self.start_s, self.mark.resume_s, self.next_segment, self.recent)

    @property
    def unfinished(self) -> tuple[Final, ...]:
        """All that is known of what was said, for the transcript of a session that nobody came back to."""
        words = (*self.committed, *self.tail)
        if not words:
            return self.finals
        return (*self.finals, Final(self.segment, words, words[-1].end_s, self.language or ""))


def recover(records: Iterable[Record]) -> SessionState:
    """Puts a journal together.

    Args:
        records: in the order in which they were written; where the end is missing, the session is as it was
            before.

    Raises:
        StorageError: they do not begin as a journal does, or it is of another version.
    """
    records = iter(records)
    first = next(records, None)
    if not isinstance(first, SessionRecord) or first.version != VERSION:
        raise StorageError("journal_unreadable", expected=VERSION)
    found = _Found(language=first.language)
    try:
        for record in records:
            found.take(record)
    except MalformedFrameError as error:
        raise StorageError("journal_unreadable", expected=VERSION) from error
    return found.state(first)


class _Found:
    """What the records have told so far."""

    def __init__(self, language: str | None) -> None:
        self._language = language
        self._hashes: tuple[str, ...] = ()
        self._pages: tuple[str, ...] = ()
        self._phase = PhaseRecord()
        self._frames: list[str] = []
        self._finals: list[Final] = []
        self._segment = 0
        self._committed: list[Word] = []
        self._committed_end_ms = 0
        self._tail: tuple[Word, ...] = ()
        self._mark = MarkRecord(0, 0, 0.0, 0.0)
        self._alerts: set[str] = set()
        self._completed: wire.SessionCompleted | None = None

    def take(self, record: Record) -> None:
        match record:
            case TokenRecord(hashes):
                self._hashes = hashes
            case PagesRecord(origins):
                self._pages = origins
            case PhaseRecord():
                self._phase = record
            case LanguageRecord(language):
                self._language = language
            case EventRecord(frame):
                self._frames.append(frame)
                self._apply(wire.decode_server_message(frame))
            case CommittedRecord():
                self._commit(record)
            case TailRecord(words):
                self._tail = tuple(map(_word, words))
            case MarkRecord():
                self._mark = record
            case SessionRecord():
                pass  # the first one holds

    def state(self, session: SessionRecord) -> SessionState:
        return SessionState(
            session=session,
            token_hashes=self._hashes,
            pages=self._pages,
            phase=self._phase,
            language=self._language,
            frames=tuple(self._frames),
            finals=tuple(self._finals),
            segment=self._segment,
            committed=tuple(self._committed),
            committed_end_ms=self._committed_end_ms,
            tail=self._tail,
            mark=self._mark,
            alerts=frozenset(self._alerts),
            completed=self._completed,
        )

    def _commit(self, record: CommittedRecord) -> None:
        if record.segment >= self._segment:
            self._segment, self._committed_end_ms = record.segment, record.audio_end_ms
            self._committed += map(_word, record.words)
        self._tail = ()

    def _apply(self, message: wire.ServerMessage) -> None:
        match message:
            case wire.SessionCompleted():
                self._completed = message
            case wire.TranscriptionFinal(segment=segment, audio_end_ms=end_ms, language=language):
                words = tuple(map(_word, message.words))
                self._finals.append(Final(segment, words, end_ms / 1000, language))
                self._segment, self._committed, self._tail = segment + 1, [], ()
            case wire.Status(alert=wire.Alert(name=name, on=on)):
                (self._alerts.add if on else self._alerts.discard)(name)
            case _:
                pass


def _word(word: wire.WireWord) -> Word:
    return Word(word.text, word.start_ms / 1000, word.end_ms / 1000, word.probability)

"""What the engine asks of the one who runs it, and what it is answered: frozen, without behaviour.

Effects are executed in order, and before what `SessionEngine.data_to_send` gives is written: a mark is in the
journal before the client hears that it may forget the audio. Audio and recognition belong to one
`SessionWorker`; feeds may be executed while a step runs, all else one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rtstt_lab.audio.quality import Quality
from rtstt_lab.engine.journal import Record
from rtstt_lab.engine.resumption import Restart
from rtstt_lab.protocol.events import CloseLink
from rtstt_lab.transcript import Transcript
from rtstt_lab.types import AudioFormat, Final, Partial

JobKind: TypeAlias = Literal["step", "settle", "finish", "skip"]
"""Decode the newest state; make all that was said final; the same, and the audio streams are over; give up
the window that could not be decoded."""


@dataclass(frozen=True, slots=True)
class FeedAudio:
    """Decode a chunk into the recognizer's ear; answered by `audio_fed` or `audio_failed`.

    Attributes:
        seq: its number.
        stream: its recorder.
        payload: its bytes.
        format: what it is made of.
        duration_ms: of its audio.
        captured_ms: when its audio began, on the recorder's clock.
        first_payload: the recorder's first chunk, for a decoder that does not know its header.
    """

    seq: int
    stream: int
    payload: bytes
    format: AudioFormat
    duration_ms: int
    captured_ms: int
    first_payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class FeedHole:
    """Keep the time of a chunk that will never come; answered by `audio_fed`."""

    seq: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Recognise:
    """Run the recognizer; answered by `recognised` or `recognition_failed`. Never two at once.

    Attributes:
        job: its number.
        kind: what for.
        audio_s: how much audio it may have to decode; bounds the time that it may take.
    """

    job: int
    kind: JobKind
    audio_s: float = 0.0


Work: TypeAlias = FeedAudio | FeedHole | Recognise
"""What a `SessionWorker` does."""


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Append to the session's text journal.

    Answered by `journal_failed` if that can't be done for now, or the disk does not take it, by
    `journal_restored` once all is written.
    """

    record: Record


@dataclass(frozen=True, slots=True)
class SaveTranscript:
    """Write the file; answered by `saved` or `save_failed`. Once in a session's life."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class FreeWorker:
    """Recognition is over: close the worker, let go of model state and audio; the session lives on."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Nobody has come back: let go of the session, but for its whole journal. Always the last effect."""


@dataclass(frozen=True, slots=True)
class Release:
    """The session is over: forget it and its journal, but for its tombstone. Always the last effect."""


Effect: TypeAlias = (
    FeedAudio
    | FeedHole
    | Recognise
    | WriteJournal
    | SaveTranscript
    | CloseLink
    | FreeWorker
    | Suspend
    | Release
)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the recognizer stands at, after every job.

    Attributes:
        heard_s: the newest sample that came in, on the audio clock.
        settled_s: audio before this is disposed of: final, committed, or without speech.
        pending_s: speech that came in and that no decode has reached.
        wants_step: a step would have something to do that is worth its cost.
        slowed: decodes are fewer and cheaper than wanted, since they take too long.
        language: ISO 639-1 code, once it is known.
    """

    heard_s: float
    settled_s: float
    pending_s: float
    wants_step: bool
    slowed: bool
    language: str | None


@dataclass(frozen=True, slots=True)
class AudioReport:
    """Answer to a feed.

    Attributes:
        samples: decoded so far in all, silence for holes included: the audio clock.
        complete_seq: of all chunks below this number the audio has come out; a container's comes late.
        restart: from where on, once this chunk is committed; ``None`` if nothing can be started here.
        quality: of the last second.
        hearing: of the recognizer.
        lost_s: audio of chunks that were taken earlier, and that no decoder could make anything of; since the
            last answer.
    """

    samples: int
    complete_seq: int
    restart: Restart | None
    quality: Quality | None
    hearing: Hearing
    lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RecognitionReport:
    """Answer to a recognition.

    Attributes:
        results: partials and finals, in order.
        samples: decoded so far in all; more than at the last feed when the streams were finished.
        decode_s: how long it took, waiting for the processor included.
        hearing: of the recognizer.
        lost_s: as in `AudioReport`.
    """

    results: tuple[Partial | Final, ...]
    samples: int
    decode_s: float
    hearing: Hearing
    lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """The machine, about once a second (M2). Of the host or the container, whichever is less.

    Attributes:
        cpu_percent: of the server's process tree, 100 a core.
        process_cpu_s: its processor time so far.
        rss_mb: its resident memory.
        ram_available_mb: what is left.
        gpu: name of the GPU in use, or empty.
        gpu_percent: its use.
    """

    cpu_percent: float
    process_cpu_s: float
    rss_mb: float
    ram_available_mb: float
    gpu: str = ""
    gpu_percent: float | None = None

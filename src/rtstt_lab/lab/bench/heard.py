"""What a system made of one recording, whichever system it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtstt_lab.recognition.promises import Decoded
from rtstt_lab.types import Final, Partial, Samples


@dataclass(frozen=True, slots=True)
class Heard:
    """One recording through one system.

    Attributes:
        events: as `rtstt_lab.records` defines them, so that every system is measured by the same functions.
        cpu_s: CPU seconds of all of the system's threads and processes.
        rss_mb: its resident memory when the recording was over.
        statistics: what the recognizer counted; empty where it counts nothing.
        decoded: what it decoded, step by step; empty where that is not known.
    """

    events: Sequence[Mapping[str, Any]]
    cpu_s: float
    rss_mb: float
    statistics: dict[str, float] = field(default_factory=dict)
    decoded: Sequence[Decoded] = ()


class System(Protocol):
    """Anything that turns recordings into words, one after the other."""

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """Recognises one recording.

        Args:
            samples: shape ``(n,)``, float32, 16 kHz mono.
            language: ISO 639-1 code; ``None`` is detection.
        """
        ...


def view_event(result: Partial | Final, at_s: float) -> dict[str, Any]:
    """A result that was seen at this moment, as an event."""
    words = [(word.text, word.start_s, word.end_s, word.probability) for word in result.words]
    event = {
        "event": "final" if isinstance(result, Final) else "partial",
        "at_s": at_s,
        "segment": result.segment,
        "audio_end_s": result.audio_end_s,
        "words": words,
    }
    if isinstance(result, Partial):
        event |= {"revision": result.revision, "committed": result.committed}
    return event


def chunk_events(seq: int, start_s: float, end_s: float) -> list[dict[str, Any]]:
    """A chunk of PCM that was recorded without a pause and sent when its audio ended, as events."""
    duration_s = end_s - start_s
    chunk = {
        "event": "chunk",
        "at_s": end_s,
        "seq": seq,
        "stream": 0,
        "bytes": round(duration_s * 32_000),
        "audio_s": start_s,
        "duration_s": duration_s,
        "captured_s": start_s,
    }
    return [
        chunk,
        {"event": "sent", "at_s": end_s, "seq": seq},
        {"event": "accepted", "at_s": end_s, "seq": seq},
    ]

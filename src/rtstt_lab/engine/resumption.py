"""Where audio can be taken up, and is: what worker, marks and journal pass to each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restart:
    """A place where a fresh decoder can take the audio up.

    Attributes:
        seq: the first chunk that it needs, besides its container's header.
        at_s: where that chunk's audio begins on the audio clock, at the earliest.
        shift_s: the audio clock minus the container's own; ``None`` where no header is needed.
    """

    seq: int = 0
    at_s: float = 0.0
    shift_s: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Audio is disposed of.

    Attributes:
        committed_seq: chunks below, for good.
        settled_s: audio before this, for good.
        resume: where a fresh decoder starts.
    """

    committed_seq: int = 0
    settled_s: float = 0.0
    resume: Restart = Restart()


@dataclass(frozen=True, slots=True)
class AudioStart:
    """Where a worker takes a session's audio up again.

    Attributes:
        at_s: on the audio clock.
        stream: the recorder that goes on; -1 for none.
        shift_s: the audio clock minus the container's own, where that goes on in its middle.
    """

    at_s: float = 0.0
    stream: int = -1
    shift_s: float | None = None

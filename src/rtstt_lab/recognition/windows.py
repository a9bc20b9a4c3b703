"""What the recognizer decodes: a window over the utterance that is being said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rtstt_lab.recognition.promises import DecodeKind
from rtstt_lab.types import Samples


@dataclass(slots=True)
class Utterance:
    """Speech between two pauses; ``end_s`` is None while it goes on."""

    start_s: float
    end_s: float | None = None
    speech_end_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Window:
    """The audio of one decode, and what had come in when it began."""

    samples: Samples
    start_s: float
    end_s: float
    heard_s: float
    kind: DecodeKind

    @property
    def thorough(self) -> bool:
        """Whether this may well be the last word on these words."""
        return self.kind != "running"

"""What the recognizer decodes: a window over the utterance that is being said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final as Constant

from rtstt_lab.recognition.promises import DecodeKind
from rtstt_lab.types import Hypothesis, Samples, Word

_UNHEARD_S: Constant = 1.5  # so much speech without a word is no gap between two of them


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


def afresh_from_s(
    window: Window,
    utterance: Utterance,
    promised: Sequence[Word],
    hypothesis: Hypothesis,
    speech_end_s: float,
) -> float | None:
    """Where a window has to begin anew, if the promised words in it keep the model from hearing what follows.

    Words that were misheard may end the text for it, whatever is said after them.

    Args:
        window: as it was decoded.
        utterance: that it belongs to.
        promised: the promised words in it.
        hypothesis: what it said.
        speech_end_s: the newest speech that was detected.

    Returns:
        The time behind the promised words, or behind the pause after them; ``None`` if all is well, and if
        no promised words are there to blame, or only such as alignment gave no time.
    """
    if not promised:
        return None
    from_s = max(utterance.start_s, promised[-1].end_s)
    heard_s = max([from_s, *(word.end_s for word in hypothesis.words)])
    unheard_s = min(window.end_s, utterance.speech_end_s, speech_end_s) - heard_s
    return from_s if from_s > window.start_s and unheard_s > _UNHEARD_S else None

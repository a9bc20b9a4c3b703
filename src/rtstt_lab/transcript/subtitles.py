"""Words into subtitles that can be read: short lines, shown long enough, broken where the speaker pauses.

The bounds are the usual ones of subtitling guides: two lines of at most 42 characters, 1 to 6 seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rtstt_lab.types import Word, text_of

LINE_CHARACTERS: Final = 42
LINES: Final = 2
LONGEST_S: Final = 6.0
SHORTEST_S: Final = 1.0
_PAUSE_S: Final = 1.0
_SENTENCE_ENDS: Final = (".", "?", "!", "…", "。", "？", "！")
_SENTENCE_CHARACTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle.

    Attributes:
        start_s: when it appears; never before the one before it is gone.
        end_s: when it goes.
        lines: one or two.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues(segments: Iterable[Sequence[Word]]) -> list[Cue]:
    """Makes subtitles of segments of words; none spans two segments."""
    made: list[Cue] = []
    for segment in segments:
        group: list[Word] = []
        for word in segment:
            if group and _ends(group, word):
                made.append(_cue(group))
                group = []
            group.append(word)
        if group:
            made.append(_cue(group))
    return _in_sequence(made)


def _ends(group: list[Word], word: Word) -> bool:
    text = text_of(group)
    sentence = text.endswith(_SENTENCE_ENDS) and len(text) >= _SENTENCE_CHARACTERS
    return (
        sentence
        or word.start_s - group[-1].end_s >= _PAUSE_S
        or word.end_s - group[0].start_s > LONGEST_S
        or _lines([*group, word]) is None
    )


def _cue(group: list[Word]) -> Cue:
    lines = _lines(group) or (text_of(group),)  # one word longer than a line stays whole
    return Cue(group[0].start_s, group[-1].end_s, lines)


def _lines(words: list[Word]) -> tuple[str, ...] | None:
    """One line if it fits, else the two that are nearest in length; ``None`` if two don't hold it."""
    whole = text_of(words)
    if len(whole) <= LINE_CHARACTERS:
        return (whole,)
    splits = [(text_of(words[:at]), text_of(words[at:])) for at in range(1, len(words))]
    fitting = [pair for pair in splits if max(map(len, pair)) <= LINE_CHARACTERS]
    return min(fitting, key=lambda pair: abs(len(pair[0]) - len(pair[1])), default=None)


def _in_sequence(made: list[Cue]) -> list[Cue]:
    """Gives each its least time as far as the next one leaves room."""
    timed: list[Cue] = []
    gone_s = 0.0
    for number, cue in enumerate(made):
        start_s = max(cue.start_s, gone_s)
        next_s = max(made[number + 1].start_s, start_s) if number + 1 < len(made) else float("inf")
        end_s = max(cue.end_s, min(start_s + SHORTEST_S, next_s), start_s + 0.001)
        gone_s = end_s = max(min(end_s, next_s), start_s + 0.001)
        timed.append(replace(cue, start_s=start_s, end_s=end_s))
    return timed

"""From what a peer says to the events that every system is measured by.

Peers give times of segments, of lines, or none: no times of words. So each of their words is placed where the
word of the reference text stands that it matches in order, and what is measured is when it was said. That is
in the peers' favour: none of their words is missed for a wrong time, while ours have to be within 1 s.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import pandas as pd

from rtstt_lab.emissions import match_in_time
from rtstt_lab.types import Word

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What one message adds.

    Attributes:
        committed: words that are final from now on, behind all that were.
        pending: words shown behind them that may still change; they replace those of the message before.
    """

    committed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


Reader: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], Sequence[Said | None]]
"""What each of a session's messages says; ``None`` where it says nothing of words."""


class StepReader(Protocol):
    """Reads messages one after the other, without knowing what comes."""

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """What the message says; ``None`` if it says nothing of words."""
        ...


def one_by_one(start: Callable[[], StepReader]) -> Reader:
    """A reader that is started anew for every session."""

    def read(messages: Sequence[Mapping[str, Any]]) -> list[Said | None]:
        reader = start()
        return [reader.read(message) for message in messages]

    return read


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that spoke of words.

    Attributes:
        at_s: its arrival; 0 is the beginning of the recording.
        audio_end_s: audio that had been sent.
        said: its words.
    """

    at_s: float
    audio_end_s: float
    said: Said


def words_of(text: str) -> tuple[str, ...]:
    """Split at white space."""
    return tuple(text.split())


def settled(heard: Sequence[Heard]) -> list[Heard]:
    """With what was still pending in the last message as committed by it.

    A peer that ends without saying so leaves its last view standing; that a user could not know before the
    end is not held against it.
    """
    if not heard or not heard[-1].said.pending:
        return list(heard)
    last = heard[-1]
    whole = Said(last.said.committed + last.said.pending)
    return [*heard[:-1], Heard(last.at_s, last.audio_end_s, whole)]


def events_of(heard: Iterable[Heard]) -> Iterator[dict[str, Any]]:
    """Views as `rtstt_lab.records` defines them: committed words as a final, pending ones as a partial.

    Words stand where the message came; `placed` moves them to where they were spoken.
    """
    segment = revision = 0
    shown: tuple[str, ...] = ()
    for message in heard:
        said = message.said
        common = {"at_s": message.at_s, "audio_end_s": message.audio_end_s}
        if said.committed:
            words = _words(said.committed, message.at_s)
            yield {"event": "final", "segment": segment, "words": words, **common}
            segment, revision = segment + 1, 0
            if not said.pending:
                shown = ()
        if said.pending != shown or (said.committed and said.pending):
            words = _words(said.pending, message.at_s)
            yield {
                "event": "partial",
                "segment": segment,
                "revision": revision,
                "committed": 0,
                "words": words,
                **common,
            }
            revision += 1
            shown = said.pending


def _words(texts: Sequence[str], at_s: float) -> list[tuple[str, float, float, float]]:
    return [(f" {text}", at_s, at_s, math.nan) for text in texts]


def placed(events: Sequence[Event], reference: pd.DataFrame) -> list[Event]:
    """The same events with every word where the reference's word stands that it matches in order.

    Words without a match lie evenly between those around them. A pending word is matched only with words
    behind everything committed that had begun when it was shown.

    Args:
        events: of one session, in order.
        reference: ``word``, ``start_s``, ``end_s`` of the recording's words.
    """
    columns = (reference["word"], reference["start_s"], reference["end_s"])
    targets = [Word(str(text), float(a), float(b), math.nan) for text, a, b in zip(*columns, strict=True)]
    starts = [word.start_s for word in targets]
    begin_s, end_s = (targets[0].start_s, targets[-1].end_s) if targets else (0.0, 0.0)
    finals = [word for event in events if event["event"] == "final" for word in event["words"]]
    committed = iter(_placed(finals, targets, begin_s, end_s))
    last: tuple[str, float, float, float] | None = None
    moved: list[Event] = []
    for event in events:
        if event["event"] == "final":
            words = [next(committed) for _ in event["words"]]
            last = words[-1] if words else last
            moved.append({**event, "words": words})
        elif event["event"] == "partial":
            first, from_s = (bisect_right(starts, last[1]), last[2]) if last else (0, begin_s)
            spoken = targets[first : bisect_right(starts, event["at_s"])]
            words = _placed(event["words"], spoken, from_s, max(from_s, min(end_s, event["at_s"])))
            moved.append({**event, "words": words})
        else:
            moved.append(event)
    return moved


def _placed(
    words: Sequence[tuple[str, float, float, float]], targets: Sequence[Word], begin_s: float, end_s: float
) -> list[tuple[str, float, float, float]]:
    """Words at the times of the targets they match in order, as many as can be; the others between them."""
    spread = _spread([word[0] for word in words], begin_s, end_s)
    found = dict(match_in_time(spread, targets, math.inf))
    anchors = [(-1, begin_s), *((i, targets[j].end_s) for i, j in found.items()), (len(words), end_s)]
    times = {i: (targets[j].start_s, targets[j].end_s) for i, j in found.items()}
    for (before, from_s), (after, _) in pairwise(anchors):
        until_s = max(from_s, times[after][0] if after in times else end_s)
        between = _spread([word[0] for word in words[before + 1 : after]], from_s, until_s)
        times |= {before + 1 + k: (word.start_s, word.end_s) for k, word in enumerate(between)}
    return [(word[0], *times[i], word[3]) for i, word in enumerate(words)]


def _spread(texts: Sequence[str], begin_s: float, end_s: float) -> list[Word]:
    step_s = (end_s - begin_s) / max(1, len(texts))
    return [
        Word(text, begin_s + k * step_s, begin_s + (k + 1) * step_s, math.nan) for k, text in enumerate(texts)
    ]

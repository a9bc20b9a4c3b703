"""When each word was first shown, last changed and committed: read off the views that a client received.

A *view* is a partial or a final as it arrived. Pure; used by the run schema and by whoever holds a session's
messages.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rtstt_lab.types import Word, text_of

MATCH_WITHIN_S: Final = 1.0
"""Two views' times of one word differ by less than this; a repetition further away is another word."""


@dataclass(frozen=True, slots=True)
class View:
    """One partial or final on its arrival.

    Attributes:
        final: a closed segment.
        segment: its number.
        revision: of a partial; None for a final.
        emitted_s: arrival, on the client's clock.
        audio_end_s: the newest audio that was heard for it, on the audio clock.
        committed: how many leading words never change again.
        words: all words of the segment so far.
    """

    final: bool
    segment: int
    revision: int | None
    emitted_s: float
    audio_end_s: float
    committed: int
    words: tuple[Word, ...]

    def row(self) -> dict[str, Any]:
        """As a row of the table ``partials``."""
        return {
            "kind": "final" if self.final else "partial",
            "segment": self.segment,
            "revision": self.revision,
            "emitted_s": self.emitted_s,
            "audio_end_s": self.audio_end_s,
            "committed": self.committed,
            "text": text_of(self.words),
            "words": [asdict(word) for word in self.words],
        }


def word_key(text: str) -> str:
    """A word without case and punctuation: what stays the same when only its spelling is touched up."""
    kept = "".join(c for c in text.casefold() if not unicodedata.category(c).startswith(("P", "S", "Z")))
    return kept or text.strip()


def match_in_time(
    left: Sequence[Word], right: Sequence[Word], within_s: float = MATCH_WITHIN_S
) -> list[tuple[int, int]]:
    """Pairs equal words of two sequences, in order, one to one, each near in time.

    As many pairs as can be; among those, the least sum of time differences. So a repeated word is paired with
    its own occurrence and never borrows another's time.

    Args:
        left: ordered by start.
        right: ordered by start.
        within_s: starts further apart than this are not one word.

    Returns:
        Index pairs (left, right), both increasing.
    """
    starts = [word.start_s for word in right]
    keys = [word_key(word.text) for word in right]
    # best[k] = (cost, j, chain) of the cheapest chain of k + 1 pairs that ends at right index j, kept for
    # each j.
    best: dict[int, tuple[int, float, tuple[Any, ...] | None]] = {}
    for i, word in enumerate(left):
        key = word_key(word.text)
        low, high = (
            bisect_left(starts, word.start_s - within_s),
            bisect_right(starts, word.start_s + within_s),
        )
        fresh: dict[int, tuple[int, float, tuple[Any, ...] | None]] = {}
        for j in range(low, high):
            if keys[j] != key:
                continue
            before = max((entry for at, entry in best.items() if at < j), key=_rank, default=(0, 0.0, None))
            cost = before[1] + abs(word.start_s - starts[j])
            fresh[j] = (before[0] + 1, cost, ((i, j), before[2]))
        for j, entry in fresh.items():
            if j not in best or _rank(entry) > _rank(best[j]):
                best[j] = entry
    chain = max(best.values(), key=_rank, default=(0, 0.0, None))[2]
    pairs: list[tuple[int, int]] = []
    while chain is not None:
        pairs.append(chain[0])
        chain = chain[1]
    return pairs[::-1]


def _rank(entry: tuple[int, float, Any]) -> tuple[int, float]:
    return entry[0], -entry[1]


def trace_words(views: Iterable[View]) -> list[dict[str, Any]]:
    """Follows every final word back through the views that led to it.

    Definitions (metrics.md, "word emission latency"): *shown*, the first view that holds the word at its
    place (case and punctuation aside); *changed*, the first view since which it stands there by the letter;
    *emitted*, when it was first sent in a committed prefix or in a final.

    Returns:
        Rows of the table ``words``, ordered by start.
    """
    history = sorted(views, key=lambda view: view.emitted_s)
    finals: dict[int, View] = {}
    for view in history:
        if view.final:
            finals.setdefault(view.segment, view)
    rows = [
        _row(final, position, committing)
        for final in finals.values()
        for position, committing in enumerate(_commits(final, history))
    ]
    rows.sort(key=lambda row: row["start_s"])
    words = [Word(row["word"], row["start_s"], row["end_s"], row["probability"]) for row in rows]
    starts = [word.start_s for word in words]
    standing: set[int] = set()
    for view in history:
        if not view.words:
            standing = {index for index in standing if rows[index]["segment"] != view.segment}
            continue
        low = bisect_left(starts, view.words[0].start_s - 2 * MATCH_WITHIN_S)
        high = bisect_right(starts, max(word.start_s for word in view.words) + 2 * MATCH_WITHIN_S)
        matched = {low + j: view.words[i] for i, j in match_in_time(view.words, words[low:high])}
        for index in range(low, high):
            _note(rows[index], index, view, matched.get(index), standing)
    for row in rows:
        row.setdefault("shown_s", row["emitted_s"])
        row.setdefault("shown_heard_s", row["emitted_heard_s"])
        row.setdefault("changed_s", row["emitted_s"])
    return rows


def _note(row: dict[str, Any], index: int, view: View, word: Word | None, standing: set[int]) -> None:
    """Notes what one view says of one final word."""
    if word is not None and "shown_s" not in row:
        row |= {"shown_s": view.emitted_s, "shown_heard_s": view.audio_end_s}
    if view.segment != row["segment"]:
        return
    if word is None or word.text != row["word"]:
        standing.discard(index)
    elif index not in standing:
        standing.add(index)
        row["changed_s"] = view.emitted_s


def _commits(final: View, history: Sequence[View]) -> list[View]:
    """For each word of a final, the message that committed it."""
    committing: list[View] = []
    for view in history:
        if view.segment == final.segment:
            committing += [view] * (min(view.committed, len(final.words)) - len(committing))
        if view is final:
            break
    return committing


def _row(final: View, position: int, committing: View) -> dict[str, Any]:
    word = final.words[position]
    return {
        "segment": final.segment,
        "position": position,
        "word": word.text,
        "start_s": word.start_s,
        "end_s": word.end_s,
        "probability": word.probability,
        "emitted_s": committing.emitted_s,
        "emitted_heard_s": committing.audio_end_s,
    }

"""Where words stand: what was said at a known time must be told at that time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rtstt_lab.lab.conformance.checks import NotJudged, Unmet, phrase
from rtstt_lab.protocol import messages as wire

_FIRST_WORD_MS: Final = 300
"""Of the sample."""
_NEAR_MS: Final = 800


def judge_times(finals: Iterable[wire.TranscriptionFinal], *, sample_from_ms: int, after_ms: int = 0) -> None:
    """Where the sample begins (again), after seconds of silence, its first word must stand.

    Args:
        finals: all of a session.
        sample_from_ms: when it begins, on the session's audio clock.
        after_ms: words that begin before this are of what was said before the silence.

    Raises:
        Unmet: the word stands elsewhere, or nowhere though there are others.
        NotJudged: there are no words.
    """
    words = [word for final in finals for word in final.words]
    if not words:
        raise NotJudged(phrase("no_words"))
    expected_ms = sample_from_ms + _FIRST_WORD_MS
    first = next((word for word in words if word.start_ms >= after_ms), None)
    if first is None or abs(first.start_ms - expected_ms) > _NEAR_MS:
        told = first or words[-1]
        got = phrase("got", text=f"{told.text!r} start_ms={told.start_ms}")
        raise Unmet(f"start_ms={expected_ms}±{_NEAR_MS}", got)

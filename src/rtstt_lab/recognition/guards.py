"""What keeps a decoder from going on for ever: a bound, and a test for repetition."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final as Constant

_LONGEST_LOOP: Constant = 24


def token_bound(duration_s: float, language: str) -> int:  # noqa: ARG001 - measured per language
    """The most tokens that speech of this length is given."""
    return int(9 * duration_s) + 10


def without_loop(tokens: Sequence[int]) -> list[int]:
    """Cuts a text off where it starts to go round: after the first occurrence of what is then repeated.

    A loop is a run of n tokens that follows itself at least three times and over at least eight tokens, for
    any n up to 24; so "no, no, no" is speech, and a sentence said four times over is not.
    """
    for start in range(len(tokens)):
        for length in range(1, min(_LONGEST_LOOP, (len(tokens) - start) // 3) + 1):
            pattern = tokens[start : start + length]
            times = 1
            while tokens[start + times * length : start + (times + 1) * length] == pattern:
                times += 1
            if times >= 3 and times * length >= 8:
                return list(tokens[: start + length])
    return list(tokens)


def compression_ratio(text: str) -> float:
    """Bytes of the text ÷ bytes of its zlib compression, as Whisper computes it; 0 for no text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0

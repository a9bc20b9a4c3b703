"""What keeps a decoder from going on for ever: a bound, and a test for repetition."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final as Constant

_LONGEST_LOOP: Constant = 24


_TOKENS_PER_S: Constant = {"en": 8.0, "es": 8.0}
_TOKENS_PER_S_ELSEWHERE: Constant = 12.0
_TOKENS_AT_LEAST: Constant = 10


def token_bound(duration_s: float, language: str) -> int:
    """The most tokens that speech of this length is given; it must never cut speech.

    Tokens per second of what was really said, in windows of 2 s and more cut from recordings with aligned
    references, and in whole short recordings: English (1272) p50 3.3, p99 4.7, max 6.2; Spanish (532)
    p50 4.0, p99 5.7, max 6.3. The bound is the maximum with a quarter more, and ten tokens, so that short
    windows and punctuation have room. Other languages were measured on a few recordings only (max: French
    5.0, Japanese 4.0, German 3.6, Italian 3.2), and some write a character as several tokens: their bound is
    wider.
    """
    return int(_TOKENS_PER_S.get(language, _TOKENS_PER_S_ELSEWHERE) * duration_s) + _TOKENS_AT_LEAST


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

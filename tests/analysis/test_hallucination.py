"""Repetition loops."""

from __future__ import annotations

import pytest

from rtstt_lab.analysis.hallucination import repetition_loops


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no no no", 0),
        ("we shall see " * 3, 1),
        ("we shall see " * 2, 0),
        ("la " * 8, 1),
        ("first " + "and so on " * 5 + "then " + "once more please " * 3, 2),
        ("", 0),
    ],
)
def test_loops_are_patterns_that_come_three_times_over_eight_words(text: str, expected: int) -> None:
    """What people say twice or shortly is speech; each stretch that goes round counts once."""
    assert repetition_loops(text.split()) == expected

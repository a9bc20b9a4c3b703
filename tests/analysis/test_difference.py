"""Where transcripts differ."""

from __future__ import annotations

from rtstt_lab.analysis.difference import transcript_difference
from rtstt_lab.analysis.runs import Run


def test_differences_are_the_words_that_differ(clean: Run, interrupted: Run) -> None:
    """Equal runs differ nowhere; a word swapped and a word left out are one row each, with their time."""
    assert transcript_difference(clean, interrupted).empty
    words = interrupted.tables["words"].drop(index=5)
    words.loc[2, "word"] = " other"
    changed = Run("changed", interrupted.meta, interrupted.tables | {"words": words})
    table = transcript_difference(clean, changed)
    assert table["at_s"].tolist() == [1.0, 2.5]
    assert table["clean"].tolist() == ["w2", "w5"]
    assert table["changed"].tolist() == ["other", ""]


def test_punctuation_counts_only_by_letter(clean: Run) -> None:
    """A full stop is no other word, unless it is asked for."""
    words = clean.tables["words"].copy()
    words.loc[0, "word"] = " W0."
    other = Run("other", clean.meta, clean.tables | {"words": words})
    assert transcript_difference(clean, other).empty
    assert len(transcript_difference(clean, other, by_letter=True)) == 1

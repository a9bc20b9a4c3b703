"""Where two transcripts of one recording differ."""

from __future__ import annotations

import math
from difflib import SequenceMatcher

import pandas as pd

from rtstt_lab.analysis.runs import Run
from rtstt_lab.emissions import word_key


def transcript_difference(one: Run, other: Run, *, by_letter: bool = False) -> pd.DataFrame:
    """The stretches in which two runs do not say the same words.

    Args:
        one: the first.
        other: the second.
        by_letter: count case and punctuation, too.

    Returns:
        ``at_s`` (audio clock), and the words of each run under its id; empty where they agree.
    """
    words = [run.tables["words"] for run in (one, other)]
    left_keys, right_keys = (
        [str(text).strip() if by_letter else word_key(str(text)) for text in table["word"]] for table in words
    )
    rows = []
    for tag, first, last, low, high in SequenceMatcher(
        None, left_keys, right_keys, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            left, right = words[0].iloc[first:last], words[1].iloc[low:high]
            starts = [float(table["start_s"].iloc[0]) for table in (left, right) if len(table)]
            rows.append((min(starts, default=math.nan), _said(left), _said(right)))
    return pd.DataFrame(rows, columns=["at_s", one.id, other.id])


def _said(words: pd.DataFrame) -> str:
    return "".join(words["word"]).strip()

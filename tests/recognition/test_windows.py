"""When a window begins anew: promised words that keep the model from hearing what follows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rtstt_lab.recognition.windows import Utterance, Window, afresh_from_s
from rtstt_lab.types import Hypothesis, Word

PROMISED = (Word(" we", 0.2, 0.5, 0.9), Word(" hear.", 0.5, 0.9, 0.9))
WINDOW = Window(np.zeros(0, np.float32), 0.0, 4.0, 4.0, "running")


def hypothesis(*more: Word) -> Hypothesis:
    """The promised words, and what comes after them."""
    return Hypothesis((*PROMISED, *more), 0.0, 4.0, "en", -0.2, 1.0, 0.0)


@pytest.mark.parametrize(
    ("utterance", "more", "speech_end_s", "from_s"),
    [
        (Utterance(0.0), (), 4.0, 0.9),  # three seconds of speech, and no word of them
        (Utterance(1.5), (), 4.0, 1.5),  # the promised words are those of an earlier utterance
        (Utterance(0.0), (Word(" you", 2.6, 2.9, 0.9),), 4.0, None),  # the words reach the newest speech
        (Utterance(0.0), (), 2.0, None),  # it has been quiet since
        (Utterance(0.0, 3.0, 2.0), (), 9.0, None),  # speech of the utterance that comes next
        (Utterance(3.0), (), 4.0, None),  # only just begun
    ],
)
def test_speech_without_words_is_heard_without_what_was_promised(
    utterance: Utterance, more: tuple[Word, ...], speech_end_s: float, from_s: float | None
) -> None:
    """Only speech that the hypothesis does not reach counts, and only in the utterance itself."""
    assert afresh_from_s(WINDOW, utterance, PROMISED, hypothesis(*more), speech_end_s) == from_s


def test_without_promised_words_there_is_nothing_to_leave_out() -> None:
    """So a window begins anew once at most."""
    silent = Hypothesis((), 0.0, 4.0, "en", -0.2, 1.0, 0.0)
    assert afresh_from_s(WINDOW, Utterance(0.0), (), silent, math.inf) is None


def test_a_promised_word_without_length_is_left_out_once() -> None:
    """It lies in the new window as well: to begin there again would change nothing."""
    promised = (Word(" hear.", 0.9, 0.9, 0.9),)
    silent = Hypothesis((), 0.9, 4.0, "en", -0.2, 1.0, 0.0)
    anew = replace(WINDOW, start_s=0.9)
    assert afresh_from_s(WINDOW, Utterance(0.0), promised, silent, 4.0) == 0.9
    assert afresh_from_s(anew, Utterance(0.0), promised, silent, 4.0) is None

"""Where long recordings are cut for alignment."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rtstt_lab.errors import RecognitionError
from rtstt_lab.recognition.alignment import MAX_PIECE_S, cut_pieces
from rtstt_lab.types import SAMPLE_RATE_HZ, Word


def test_pieces_are_cut_at_gaps_between_agreed_words() -> None:
    """Each fits the encoder, words and audio are cut at the same place, and misheard words are no cut."""
    words = [f"word{number}" for number in range(50)]
    heard = [Word(word, start, start + 0.8, 0.9) for word, start in zip(words, range(50), strict=True)]
    heard[20] = Word("noise", 20.0, 20.8, 0.9)
    pieces = cut_pieces(np.zeros(50 * SAMPLE_RATE_HZ, np.float32), words, heard)
    assert [word for piece in pieces for word in piece.words] == words
    assert (pieces[0].start_s, pieces[-1].end_s) == (0.0, 50.0)
    for piece, following in pairwise(pieces):
        assert piece.end_s == following.start_s
        assert piece.end_s - piece.start_s <= MAX_PIECE_S
        first = int(following.words[0].removeprefix("word"))
        assert first - 0.35 <= following.start_s <= first + 0.15
        assert 20 not in {first, first - 1}


def test_another_text_is_refused() -> None:
    """A text of which nothing is heard cannot be cut, and says so."""
    heard = [Word("other", start, start + 0.8, 0.9) for start in range(50)]
    with pytest.raises(RecognitionError):
        cut_pieces(np.zeros(50 * SAMPLE_RATE_HZ, np.float32), ["something"] * 50, heard)

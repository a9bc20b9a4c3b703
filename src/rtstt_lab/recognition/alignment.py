"""When each word of a known text is said: forced alignment by Whisper's own attention.

Measurements count latencies from these times, which all systems share; nothing that is recognised uses them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Literal
from typing import Final as Constant

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from rtstt_lab.emissions import word_key
from rtstt_lab.errors import RecognitionError
from rtstt_lab.recognition.models import LocalModel, check_language
from rtstt_lab.recognition.pauses import FRAMES_A_SECOND, Activity, frame_levels, part_words, spoken_spans
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples, Word

VERSION: Constant = 4
"""Of the procedure; kept times of another version are of no use."""

MAX_PIECE_S: Constant = 28.0
"""The encoder hears 30 s; the rest stays silent, as it was trained to end."""

_HOP_SAMPLES: Constant = 160
_UNSPACED: Constant = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""What the tokenizer parts between characters, for want of spaces."""
_FASTEST_WORD_S: Constant = 0.1
_FASTEST_LETTER_S: Constant = 0.04
"""Nobody says one in less, on the average: eight syllables a second of up to three Thai letters."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of a recording and the words said in it."""

    start_s: float
    end_s: float
    words: Sequence[str]


class TextAligner:
    """Finds the times of a text's words in its recording.

    The text is forced through the decoder and dynamic time warping of its cross-attention gives the times
    (Radford et al. 2022). Recordings longer than `MAX_PIECE_S` are transcribed first, and cut between words
    that the transcript and the text agree on.

    Args:
        model: the weights to use.
    """

    def __init__(self, model: LocalModel) -> None:
        self._local = model
        self._whisper = WhisperModel(os.fspath(model.path), device="cpu", compute_type="int8", cpu_threads=1)

    def align_text(self, samples: Samples, text: str, language: str) -> tuple[Word, ...]:
        """Times of every word.

        Args:
            samples: shape ``(n,)``, float32, 16 kHz mono, any length.
            text: what is said, in order and whole.
            language: ISO 639-1 code.

        Returns:
            One `Word` for each word of the text (parted by spaces; in languages without them, as the
            tokenizer parts them), without leading spaces, on the clock of the samples.
            A sign that stands alone is joined to the word before it.

        Raises:
            LanguageError: the model doesn't know the language.
            RecognitionError: the text is not what is said in this recording, or the model failed.
        """
        check_language(self._local, language)
        words = (text.lower() if text.isupper() else text).split()
        if not words:
            return ()
        duration_s = len(samples) / SAMPLE_RATE_HZ
        activity = Activity.of(samples, least_speech_s=least_speech_s(words, language))
        try:
            pieces = [_Piece(0.0, duration_s, words)]
            if duration_s > MAX_PIECE_S:
                pieces = self._pieces(samples, words, language)
            aligned = [word for piece in pieces for word in self._align(samples, activity, piece, language)]
        except RuntimeError as error:
            raise RecognitionError("recognition_failed", start_s=0.0, reason=error) from error
        return tuple(part_words(activity, aligned))

    def _align(self, samples: Samples, activity: Activity, piece: _Piece, language: str) -> list[Word]:
        first, last = (round(t * SAMPLE_RATE_HZ) for t in (piece.start_s, piece.end_s))
        kept = spoken_spans(activity, first, last)
        spoken = np.concatenate([samples[first + start : first + end] for start, end in kept])
        heard = np.zeros(30 * SAMPLE_RATE_HZ, np.float32)
        heard[: len(spoken)] = spoken
        features = self._whisper.feature_extractor(heard)[:, :3000]
        tokenizer = Tokenizer(
            self._whisper.hf_tokenizer,
            multilingual=not self._local.english_only,
            task="transcribe",
            language=language,
        )
        joined = "".join(f" {word}" for word in piece.words)
        (found,) = self._whisper.find_alignment(
            tokenizer,
            [tokenizer.encode(joined)],
            self._whisper.encode(features),
            len(spoken) // _HOP_SAMPLES,
        )
        return [
            replace(
                word,
                start_s=piece.start_s + _in_whole(kept, word.start_s, side="right"),
                end_s=piece.start_s + _in_whole(kept, word.end_s, side="left"),
            )
            for word in _whole_words(found, spaced=language not in _UNSPACED)
        ]

    def _pieces(self, samples: Samples, words: Sequence[str], language: str) -> list[_Piece]:
        segments, _ = self._whisper.transcribe(samples, language=language, beam_size=1, word_timestamps=True)
        heard = [
            Word(w.word, float(w.start), float(w.end), float(w.probability))
            for segment in segments
            for w in segment.words or ()
        ]
        return cut_pieces(samples, words, heard)


def least_speech_s(words: Sequence[str], language: str) -> float:
    """No voice says a text in less time.

    Where words are not parted by spaces letters count, as where errors are measured there (Radford et al.
    2022, appendix C): signs, tones and vowels written above or below are none.

    Args:
        words: of the text, parted by spaces.
        language: ISO 639-1 code.
    """
    if language in _UNSPACED:
        return _FASTEST_LETTER_S * sum(letter.isalnum() for word in words for letter in word)
    return _FASTEST_WORD_S * len(words)


def cut_pieces(samples: Samples, words: Sequence[str], heard: Sequence[Word]) -> list[_Piece]:
    """Cuts a recording between words that a transcript and its text agree on, at the widest gaps.

    Args:
        samples: of the whole recording.
        words: of its text.
        heard: of a transcript, with times.

    Raises:
        RecognitionError: over `MAX_PIECE_S` they agree on no two words in a row.
    """
    duration_s = len(samples) / SAMPLE_RATE_HZ
    seams = _seams(words, heard)
    pieces: list[_Piece] = []
    start_s, first = 0.0, 0
    while duration_s - start_s > MAX_PIECE_S:
        within = [s for s in seams if s[0] > first and start_s < (s[1] + s[2]) / 2 <= start_s + MAX_PIECE_S]
        late = [s for s in within if (s[1] + s[2]) / 2 > start_s + MAX_PIECE_S / 2]
        if not within:
            raise RecognitionError("alignment_failed", start_s=start_s)
        index, before_s, after_s = max(late or within, key=lambda s: (s[2] - s[1], s[0]))
        at_s = _quietest(samples, before_s - 0.1, after_s + 0.1)
        pieces.append(_Piece(start_s, at_s, words[first:index]))
        start_s, first = at_s, index
    return [*pieces, _Piece(start_s, duration_s, words[first:])]


def _seams(words: Sequence[str], heard: Sequence[Word]) -> list[tuple[int, float, float]]:
    """Where two agreed words meet: index of the second, end of the first, start of the second."""
    matcher = SequenceMatcher(
        None, [word_key(word) for word in words], [word_key(word.text) for word in heard], autojunk=False
    )
    return [
        (block.a + k, heard[block.b + k - 1].end_s, heard[block.b + k].start_s)
        for block in matcher.get_matching_blocks()
        for k in range(1, block.size)
    ]


def _quietest(samples: Samples, start_s: float, end_s: float) -> float:
    """The middle of the quietest 50 ms between two times."""
    levels = frame_levels(samples)
    low = max(0, round(start_s * FRAMES_A_SECOND))
    high = min(len(levels), round(end_s * FRAMES_A_SECOND) + 1)
    smooth = np.convolve(levels[low:high], np.ones(5) / 5, mode="same")
    return (low + int(smooth.argmin()) + 0.5) / FRAMES_A_SECOND


def _in_whole(kept: Sequence[tuple[int, int]], time_s: float, *, side: Literal["left", "right"]) -> float:
    """From a time in the kept spans joined to one in the whole; at a seam, its left or its right end."""
    starts = np.array([start for start, _ in kept])
    joined = np.cumsum([0, *(end - start for start, end in kept[:-1])])
    at = round(time_s * SAMPLE_RATE_HZ)
    index = max(0, int(np.searchsorted(joined, at, side=side)) - 1)
    return float(starts[index] + at - joined[index]) / SAMPLE_RATE_HZ


def _whole_words(found: Sequence[dict[str, Any]], *, spaced: bool) -> list[Word]:
    """Joins what the tokenizer parts within a word; a sign without letters adds its text and no time."""
    words: list[Word] = []
    for part in found:
        text = str(part["word"])
        word = Word(text.strip(), part["start"], part["end"], float(part["probability"]))
        if not word.text:
            continue
        letters = any(character.isalnum() for character in text)
        if words and (not letters or (spaced and not text.startswith(" "))):
            end_s = word.end_s if letters else words[-1].end_s
            words[-1] = replace(words[-1], text=words[-1].text + word.text, end_s=end_s)
        else:
            words.append(word)
    return words

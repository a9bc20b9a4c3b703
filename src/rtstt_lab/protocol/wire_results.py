"""Partial and final results as messages: seconds become milliseconds, words keep their spaces."""

from __future__ import annotations

from rtstt_lab.protocol.messages import TranscriptionFinal, TranscriptionPartial, WireWord
from rtstt_lab.protocol.timing import to_ms
from rtstt_lab.types import Final, Partial, Word, text_of


def partial_message(partial: Partial) -> TranscriptionPartial:
    """The message of a partial."""
    return TranscriptionPartial(
        segment=partial.segment,
        revision=partial.revision,
        text=text_of(partial.words),
        words=tuple(map(wire_word, partial.words)),
        committed=partial.committed,
        audio_end_ms=to_ms(partial.audio_end_s),
    )


def final_message(final: Final) -> TranscriptionFinal:
    """The message of a final, not yet numbered."""
    return TranscriptionFinal(
        segment=final.segment,
        text=final.text,
        words=tuple(map(wire_word, final.words)),
        confidence=_probability(final.confidence),
        language=final.language,
        audio_end_ms=to_ms(final.audio_end_s),
        event=0,
    )


def wire_word(word: Word) -> WireWord:
    """A word as it goes over the wire."""
    return WireWord(word.text, to_ms(word.start_s), to_ms(word.end_s), _probability(word.probability))


def _probability(value: float) -> float:
    """Within [0, 1], where rounding has left it by a hair; 0 for NaN."""
    return round(min(1.0, value), 4) if value > 0 else 0.0

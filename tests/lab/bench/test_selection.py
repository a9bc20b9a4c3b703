"""Which recordings count for what."""

from __future__ import annotations

from rtstt_lab.lab.bench.selection import daily, kind_of, measurable, total_s
from rtstt_lab.replay.corpus import Corpus, Recording


def recording(name: str, reference: str = "good day", **values) -> Recording:
    described = {"language": "en", "duration_s": 10.0, "category": "read"} | values
    return Recording(
        id=name, reference=reference, licence="", source="", speaker="", address="/nowhere", **described
    )


def test_digits_and_nonspeech_are_told_by_the_reference() -> None:
    """Only digit words make a digit clip; no words make non-speech."""
    assert kind_of(recording("a", "three one oh NINE.")) == "digits"
    assert kind_of(recording("b", "Cero, uno, dos")) == "digits"
    assert kind_of(recording("c", "two houses")) == "speech"
    assert kind_of(recording("d", "", category="nonspeech")) == "nonspeech"


def test_what_nobody_wrote_down_cannot_be_measured() -> None:
    """A text is missing, or the model knows one language only: left out; declared silence stays."""
    corpus = Corpus(
        [
            recording("en"),
            recording("es", language="es"),
            recording("unknown", ""),
            recording("quiet", "", category="nonspeech", language="none"),
        ]
    )
    assert [r.id for r in measurable(corpus)] == ["en", "es", "quiet"]
    assert [r.id for r in measurable(corpus, english_only=True)] == ["en", "quiet"]


def test_the_daily_choice_is_balanced_and_depends_on_ids_only() -> None:
    """Both languages within the budget, every category among them, whatever the order of the manifest."""
    recordings = [
        recording(f"{language}-{category}-{number}", language=language, category=category)
        for language in ("en", "es")
        for category in ("read", "noisy")
        for number in range(20)
    ] + [recording("de", language="de"), recording("quiet", "", category="nonspeech", language="none")]
    chosen = daily(Corpus(recordings))
    assert {r.id for r in chosen} == {r.id for r in daily(Corpus(reversed(recordings)))}
    for language in ("en", "es"):
        own = chosen.filter(language=language)
        assert total_s(own) == 130.0
        assert {r.category for r in own} == {"read", "noisy"}
    assert "quiet" in chosen
    assert "de" not in chosen

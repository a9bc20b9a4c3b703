"""Which language a session is taken to be in."""

from __future__ import annotations

from rtstt_lab.recognition.language import SpokenLanguage


def test_a_given_language_is_settled() -> None:
    """Nothing has to be heard for it."""
    assert SpokenLanguage("es", after_s=2.5).settled == "es"


def test_longer_windows_say_more() -> None:
    """Half a second for Portuguese is outweighed by two seconds for Spanish, and nothing is settled yet."""
    language = SpokenLanguage(None, after_s=2.5)
    assert language.heard({"es": 0.2, "pt": 0.8}, 0.5) == "pt"
    assert language.heard({"es": 0.6, "pt": 0.4}, 2.0) == "es"
    assert language.settled is None


def test_enough_speech_settles_it() -> None:
    """By all that was heard, also by what the settling window itself finds less likely."""
    language = SpokenLanguage(None, after_s=2.5)
    for _ in range(3):
        language.heard({"es": 0.9, "pt": 0.1}, 2.0)
    assert language.heard({"es": 0.45, "pt": 0.55}, 2.5) == "es"
    assert language.settled == "es"

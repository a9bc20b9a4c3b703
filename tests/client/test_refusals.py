"""What a server refuses becomes the exception that the same mistake raises here."""

from __future__ import annotations

import json

import pytest

from rtstt_lab.client.refusals import error_of, refusal
from rtstt_lab.errors import (
    AuthenticationError,
    LanguageError,
    LimitError,
    ModelNotFoundError,
    RtsttError,
    ServiceError,
    SessionNotFoundError,
    UsageError,
)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "token_wrong", AuthenticationError),
        (404, "session_unknown", SessionNotFoundError),
        (422, "language_unknown", LanguageError),
        (422, "model_unknown", ModelNotFoundError),
        (422, "body_malformed", UsageError),
        (429, "sessions_full", LimitError),
        (500, "internal", ServiceError),
    ],
)
def test_a_refusal_keeps_its_kind_and_its_words(status: int, code: str, kind: type[RtsttError]) -> None:
    """Status and code choose the exception; the server's sentence, already in the right language, is kept."""
    error = refusal(json.dumps({"code": code, "message": "Así no.", "retry_after_s": 7}).encode(), status)
    assert type(error) is kind
    assert error.localized("es") == "Así no."
    assert getattr(error, "retry_after_s", 7) == 7


def test_an_answer_of_something_else_names_its_status() -> None:
    """A proxy's page is not shown to the person; its status is."""
    error = refusal(b"<html>Bad gateway</html>", 502)
    assert isinstance(error, ServiceError)
    assert "502" in str(error)
    assert "html" not in str(error)


def test_an_error_of_the_session_speaks_the_persons_language() -> None:
    """A code that this version knows is said in the language asked for, with the server's figures."""
    error = error_of("language_english_only", "…", {"model": "tiny.en", "language": "es"})
    assert isinstance(error, LanguageError)
    assert "solo conoce el inglés" in error.localized("es")


@pytest.mark.parametrize(("code", "parameters"), [("of_the_future", {}), ("language_english_only", {})])
def test_an_error_that_cannot_be_said_keeps_its_message(code: str, parameters: dict[str, object]) -> None:
    """A newer server's code, or one that lacks a placeholder, leaves the English message."""
    assert str(error_of(code, "Something new.", parameters)) == "Something new."

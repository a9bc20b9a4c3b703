"""What a server refused, as the exception that the same mistake raises here, in the person's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from rtstt_lab.errors import (
    AudioError,
    AuthenticationError,
    ConnectionFailedError,
    LanguageError,
    LimitError,
    ModelNotFoundError,
    ProtocolError,
    RtsttError,
    ServiceError,
    SessionNotFoundError,
    StorageError,
    UsageError,
)
from rtstt_lab.texts import catalogue

_BY_STATUS: Final[Mapping[int, type[RtsttError]]] = {
    400: ProtocolError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: SessionNotFoundError,
    413: ProtocolError,
    422: UsageError,
    507: StorageError,
}
_BY_FAMILY: Final[tuple[tuple[str, Callable[..., RtsttError]], ...]] = (
    ("language_", LanguageError),
    ("model_", ModelNotFoundError),
    ("audio_", AudioError),
    ("connection_", ConnectionFailedError),
    ("blocks_", ConnectionFailedError),
    ("token_", AuthenticationError),
    ("save_", StorageError),
    ("storage_", StorageError),
)


class _Problem(msgspec.Struct):
    """The body of a refusal; its message is in the language that was asked for."""

    code: str
    message: str
    retry_after_s: float | None = None


def refusal(body: bytes, status: int) -> RtsttError:
    """Reads the answer to a call that failed.

    Args:
        body: of the answer.
        status: its HTTP status.
    """
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return _BY_STATUS.get(status, ServiceError)("server_status", status=status)
    said = {"message": problem.message}
    if status in {429, 503}:
        return LimitError("server_said", retry_after_s=problem.retry_after_s, **said)
    return _family(problem.code, _BY_STATUS.get(status, ServiceError))("server_said", **said)


def code_of(error: RtsttError) -> str | None:
    """The key of a refusal by the server itself, where it decides what follows; else ``None``."""
    if error.key != "server_said":  # somebody on the way has answered
        return None
    match error:
        case AuthenticationError():
            return "authentication"
        case SessionNotFoundError():
            return "session_unknown"
        case _:
            return None


def error_of(code: str, message: str, parameters: Mapping[str, Any]) -> RtsttError:
    """The exception of a ``server:error``.

    Args:
        code: key of the text; one that is not known here (a newer server's) leaves its English message.
        message: the text in English.
        parameters: the text's placeholders.
    """
    family = _family(code, ServiceError)
    return (
        family(code, **parameters)
        if _can_be_said(code, parameters)
        else family("server_said", message=message)
    )


def _family(code: str, otherwise: Callable[..., RtsttError]) -> Callable[..., RtsttError]:
    return next((family for prefix, family in _BY_FAMILY if code.startswith(prefix)), otherwise)


def _can_be_said(code: str, fields: Mapping[str, Any]) -> bool:
    template = catalogue("en").get(f"errors.{code}")
    if template is None:
        return False
    try:
        template.format(**fields)
    except (KeyError, IndexError, ValueError, TypeError):
        return False
    return True

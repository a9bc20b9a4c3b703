"""The exception tree. Each message says what was wrong and what to do, in English and Spanish.

::

    RtsttError
    ├── UsageError                 what the caller asked for cannot be (exit code 2)
    │   ├── LanguageError          a language that does not exist, or that the model does not know
    │   └── LifecycleError         an action that the session's present state does not allow
    ├── AudioError                 what came in is not usable audio
    │   ├── AudioFormatError       no audio, or a format that is not accepted
    │   ├── AudioEmptyError        audio of no length
    │   └── AudioDecodeError       a container that cannot be decoded any further
    ├── ModelError
    │   ├── ModelNotFoundError     not here, and not to be had without a network
    │   ├── ModelIntegrityError    weights whose hash is not the published one
    │   └── RecognitionError       the model failed while it decoded
    ├── CorpusError                a recording that is not here, or not what its manifest says
    ├── ProtocolError              a message that breaks rtstt.v1
    │   ├── MalformedFrameError
    │   ├── ChecksumError
    │   ├── SequenceError
    │   └── ChunkTooLargeError
    ├── ServiceError               the server cannot be reached, or said no
    │   ├── ConnectionFailedError
    │   ├── AuthenticationError
    │   ├── SessionNotFoundError
    │   ├── LimitError             a limit was met; `retry_after_s` says when to try again
    │   │   └── OverloadedError    nothing new is taken at the moment
    │   └── PortInUseError
    └── StorageError               a transcript or run that cannot be written or read
"""

from __future__ import annotations

from typing import ClassVar

from rtstt_lab.texts import text


class RtsttError(Exception):
    """The root: a catalogue key and its placeholders, so that one error speaks both languages.

    Args:
        key: the text's name in ``texts/*/errors.json``, without the file's name.
        parameters: the placeholders of that text; kept as attributes of `parameters`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, **parameters: object) -> None:
        super().__init__(key, parameters)
        self.key = key
        self.parameters = parameters

    def __str__(self) -> str:
        return self.localized("en")

    def localized(self, language: str) -> str:
        """The message in ``language`` ("en" or "es")."""
        return text(f"errors.{self.key}", language, **self.parameters)


class UsageError(RtsttError):
    """What was asked for cannot be; nothing was done."""

    exit_code = 2


class LanguageError(UsageError):
    """A language that does not exist, or that the chosen model does not know."""


class LifecycleError(UsageError):
    """An action that the session's present state does not allow."""


class AudioError(RtsttError):
    """What came in is not usable audio."""


class AudioFormatError(AudioError):
    """No audio at all, or a format that is not accepted."""


class AudioEmptyError(AudioError):
    """Audio of no length."""


class AudioDecodeError(AudioError):
    """A container that cannot be decoded any further."""


class ModelError(RtsttError):
    """A model that cannot be had or used."""


class ModelNotFoundError(ModelError):
    """Not here, and not to be had without a network."""


class ModelIntegrityError(ModelError):
    """Weights whose hash is not the published one."""


class RecognitionError(ModelError):
    """The model failed while it decoded."""


class CorpusError(RtsttError):
    """A recording that is not here, or not what its manifest says."""


class ProtocolError(RtsttError):
    """A message that breaks ``rtstt.v1``."""


class MalformedFrameError(ProtocolError):
    """A frame that cannot be read: no JSON, a wrong length, a missing or mistyped field."""


class ChecksumError(ProtocolError):
    """A payload whose CRC-32 is not the announced one."""


class SequenceError(ProtocolError):
    """A number outside what can be received now."""


class ChunkTooLargeError(ProtocolError):
    """A payload over the protocol's limit."""


class ServiceError(RtsttError):
    """The server cannot be reached, or said no."""


class ConnectionFailedError(ServiceError):
    """No connection after the last retry."""


class AuthenticationError(ServiceError):
    """A token that is missing, wrong or no longer valid."""


class OriginError(AuthenticationError):
    """A web page from an origin that was not allowed."""


class SessionNotFoundError(ServiceError):
    """A session id that is no UUID, or that nobody here knows."""


class LimitError(ServiceError):
    """A limit was met.

    Args:
        key: as in `RtsttError`.
        retry_after_s: when to try again; ``None`` if waiting does not help.
        parameters: as in `RtsttError`.
    """

    def __init__(self, key: str, *, retry_after_s: float | None = None, **parameters: object) -> None:
        super().__init__(key, retry_after_s=retry_after_s, **parameters)
        self.retry_after_s = retry_after_s


class OverloadedError(LimitError):
    """Nothing new is taken: the machine is short of memory, or the server is ending."""


class PortInUseError(ServiceError):
    """The port is taken by another program."""


class StorageError(RtsttError):
    """A transcript or run that cannot be written or read."""

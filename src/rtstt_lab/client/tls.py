"""Whom a client believes to be the server, and what it says when a connection can't be made."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import certifi
import httpx

from rtstt_lab.errors import ConnectionFailedError, UsageError

_ENVIRONMENT: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"}
"""OpenSSL's words for an answer that is no TLS; which one depends on its version and on the answer."""


def tls_context(url: str, cafile: Path | None = None) -> ssl.SSLContext | None:
    """One context for all of a client's connections, so that HTTP and WebSocket believe the same.

    Args:
        url: of the server.
        cafile: certificates (PEM) of the authorities that are believed, and no others. Without it those that
            OpenSSL finds are, ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` included; unless one of these two is
            set, Mozilla's list as well, for systems that keep none.

    Returns:
        ``None`` for an address without encryption.

    Raises:
        UsageError: the file can't be read, or holds no certificate.
    """
    if not url.lower().startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=cafile)
        if cafile is None and not any(os.environ.get(name) for name in _ENVIRONMENT):
            context.load_verify_locations(certifi.where())
    except OSError as error:  # SSLError is one
        reason = error.strerror or error
        raise UsageError("tls_cafile", path=cafile or certifi.where(), reason=reason) from error
    return context


def unreachable(url: str, error: Exception) -> ConnectionFailedError:
    """Why a server can't be talked to, and what to do: above all where one side speaks TLS and one does not.

    Args:
        url: of the server.
        error: as the HTTP library raised it.
    """
    reason = str(error) or type(error).__name__
    refused = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if isinstance(refused, ssl.SSLCertVerificationError):
        return ConnectionFailedError("tls_untrusted", url=url, reason=refused.verify_message)
    if refused is not None and refused.reason in _NO_TLS:
        return ConnectionFailedError("tls_not_spoken", url=url, reason=refused.reason)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError) and url.lower().startswith("http:"):
        return ConnectionFailedError("tls_expected", url=url, reason=reason)
    return ConnectionFailedError("server_unreachable", url=url, reason=reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was made of: libraries wrap one in the other as its cause, or as its argument."""
    while error is not None:
        yield error
        wrapped = [part for part in error.args if isinstance(part, BaseException)]
        error = wrapped[0] if wrapped else error.__cause__ or error.__context__

"""Who may do what: tokens as hashes, compared in constant time; and which pages may ask at all.

Tokens travel in the ``Authorization`` header or in a WebSocket's first message, never in an address.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.server.settings import is_loopback


def new_token() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def matches(token: str | None, *hashes: str | None) -> bool:
    """Whether ``token`` is one of those hashed; takes the same time for each wrong one."""
    found = token_hash(token or "")
    answers = [hmac.compare_digest(found, known) for known in hashes if known is not None]
    return token is not None and any(answers)


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer …`` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def origin_allowed(
    origin: str | None, host: str | None, allowed: frozenset[str], pages: Collection[str] = ()
) -> bool:
    """Whether a browser's page may talk to this server.

    Programs send no ``Origin``. A page may if its origin is allowed by name. A session that was made for a
    page is open to that page's origin, whatever a proxy makes of ``Host``, and to no further one; else a page
    may that came from the host that the request is addressed to, or from this machine.

    Args:
        origin: the header of that name.
        host: the header of that name.
        allowed: origins, scheme and port included.
        pages: origins of the pages that the session was made for, if it was made for any.
    """
    if origin is None or origin in allowed:
        return True
    if pages:
        return origin in pages
    try:
        page = urlsplit(origin)
        name = page.hostname
    except ValueError:
        return False
    return name is not None and (page.netloc == host or is_loopback(name))

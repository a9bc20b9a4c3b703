"""Tokens, origins, exposure, bodies: what a server refuses before it costs anything."""

from __future__ import annotations

import pytest

from rtstt_lab.errors import (
    ChunkTooLargeError,
    LimitError,
    MalformedFrameError,
    OverloadedError,
    RtsttError,
    UsageError,
)
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.server import auth, limits
from rtstt_lab.server.settings import ServerSettings, check_exposure


@pytest.mark.requirement("S3")
def test_tokens_are_kept_as_hashes():
    """The right token matches its hash; another, an empty or a missing one does not."""
    token = auth.new_token()
    known = token_hash(token)
    assert token not in known
    assert auth.matches(token, None, known)
    assert not any(auth.matches(wrong, known) for wrong in (None, "", token[:-1], auth.new_token()))
    assert not auth.matches(token)
    assert not auth.matches(None, token_hash(""))


@pytest.mark.requirement("S3")
@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer ", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer_header(header, token):
    """Only the scheme Bearer carries a token."""
    assert auth.bearer(header) == token


@pytest.mark.requirement("S3")
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:8888", True),
        ("http://127.0.0.1:9", True),
        ("http://[::1]:9", True),
        ("https://lab.example.org", True),
        ("https://hub.example.org:8000", True),
        ("https://hub.example.org", False),
        ("https://evil.example", False),
        ("https://localhost.evil.example", False),
        ("null", False),
        ("http://[bad", False),
    ],
)
def test_pages_from_elsewhere_are_turned_away(origin, allowed):
    """Programs, this machine's pages, the addressed host's and those named may; all others may not."""
    assert (
        auth.origin_allowed(origin, "hub.example.org:8000", frozenset({"https://lab.example.org"})) is allowed
    )


def settings(tmp_path, **changes):
    return ServerSettings(api_token="t" * 32, output=tmp_path, **changes)


@pytest.mark.requirement("S3")
def test_exposure_needs_encryption_and_token(tmp_path):
    """Beyond loopback only certificate, key and an own token, or an explicit acceptance, let it start."""
    file = tmp_path / "pem"
    file.touch()
    for host in ("127.0.0.1", "localhost", "::1"):
        assert not check_exposure(settings(tmp_path, host=host), own_token=False, insecure=False)
    tls = {"host": "0.0.0.0", "certfile": file, "keyfile": file}
    assert not check_exposure(settings(tmp_path, **tls), own_token=True, insecure=False)
    for exposed, own_token in ((settings(tmp_path, **tls), False), (settings(tmp_path, host="::"), True)):
        with pytest.raises(UsageError, match="--insecure"):
            check_exposure(exposed, own_token=own_token, insecure=False)
        assert check_exposure(exposed, own_token=own_token, insecure=True)
    with pytest.raises(UsageError):
        check_exposure(settings(tmp_path, certfile=file), own_token=True, insecure=False)
    with pytest.raises(UsageError):
        check_exposure(
            settings(tmp_path, certfile=file, keyfile=tmp_path / "none"), own_token=True, insecure=False
        )


@pytest.mark.requirement("S2")
def test_settings_do_not_show_the_token(tmp_path):
    """What is printed or logged of the settings holds no token."""
    assert "t" * 32 not in repr(settings(tmp_path))


async def parts(*sizes):
    for size in sizes:
        yield b"x" * size


@pytest.mark.requirement("S1", "S2")
async def test_bodies_are_bounded(monkeypatch):
    """A body over its limit is refused before all of it is read, and one that never ends in time."""
    assert await limits.read_body(parts(3, 4), 7) == b"x" * 7
    source = parts(5, 5, 5)
    with pytest.raises(ChunkTooLargeError):
        await limits.read_body(source, 7)
    assert len(await anext(source)) == 5

    async def never():
        yield b"x"
        await __import__("asyncio").Event().wait()

    monkeypatch.setattr(limits, "BODY_LIMIT_S", 0.01)
    with pytest.raises(MalformedFrameError):
        await limits.read_body(never(), 7)


@pytest.mark.requirement("S4", "O3")
def test_new_sessions_are_refused_with_a_reason():
    """Over the number, short of memory, or ending: each says which, and when to try again if that helps."""
    limits.admit_session(running=1, limit=2, ram_available_mb=4096, ending=False)
    with pytest.raises(LimitError, match="2") as full:
        limits.admit_session(running=2, limit=2, ram_available_mb=4096, ending=False)
    with pytest.raises(OverloadedError, match="100 MB") as short:
        limits.admit_session(running=0, limit=2, ram_available_mb=100, ending=False)
    assert full.value.retry_after_s
    assert short.value.retry_after_s
    with pytest.raises(OverloadedError):
        limits.admit_session(running=0, limit=2, ram_available_mb=4096, ending=True)


@pytest.mark.requirement("U1")
@pytest.mark.parametrize("key", ["session_unknown", "authentication", "port_in_use", "exposed"])
def test_refusals_speak_both_languages(key):
    """A refusal's text exists in English and Spanish, and differs."""
    error = RtsttError(key, session_id="x", host="h", port=1)
    assert error.localized("en") != error.localized("es")

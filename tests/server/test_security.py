"""Tokens, origins, exposure, bodies: what a server refuses before it costs anything."""

from __future__ import annotations

import ast
import hmac
import secrets
import socket

import pytest

from rtstt_lab.errors import (
    ChunkTooLargeError,
    LimitError,
    MalformedFrameError,
    OverloadedError,
    RtsttError,
    UsageError,
)
from rtstt_lab.protocol.server_parts import Tokens, token_hash
from rtstt_lab.server import auth, limits, serving
from rtstt_lab.server.registry import SessionRegistry
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
        ("http://[::ffff:127.0.0.1]:9", True),
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


LOOPBACK = [
    "127.0.0.1",
    "127.8.9.10",
    "localhost",
    "LOCALHOST",
    "lab.localhost",
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
]
BEYOND = [
    *("0.0.0.0", "0", "00.0.0.0", "0x0", "", "*", "::", "[::]", "::0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"),
    *("192.168.1.5", "::ffff:192.168.1.5", "169.254.1.1", "fe80::1", "fe80::1%eth0", "2001:db8::1"),
    *("127.1", "2130706433", "lab", "lab.example.org", "localhost.example.org", "localhost."),
]


@pytest.mark.requirement("S3")
@pytest.mark.parametrize("host", LOOPBACK)
def test_spellings_of_this_machine(tmp_path, host):
    """They need neither certificate nor token."""
    assert not check_exposure(settings(tmp_path, host=host), own_token=False, insecure=False)


@pytest.mark.requirement("S3")
@pytest.mark.parametrize("host", BEYOND)
def test_spellings_of_every_other_address(tmp_path, host):
    """All, each name, and whatever only a resolver understands count as reachable from elsewhere."""
    with pytest.raises(UsageError, match="--insecure"):
        check_exposure(settings(tmp_path, host=host), own_token=True, insecure=False)


@pytest.mark.requirement("S3")
async def test_a_name_that_should_mean_this_machine_and_does_not(tmp_path, monkeypatch):
    """What counts is the address that was bound: a resolver that leads elsewhere does not open the server."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("0.0.0.0", *rest, **more))
    chosen = settings(tmp_path, host="lab.localhost")
    registry = SessionRegistry(chosen)
    with pytest.raises(UsageError, match=r"lab\.localhost"):
        await serving.serve(chosen, registry, ready=lambda _: None, ending=lambda: None)
    await registry.close()


@pytest.mark.requirement("S3")
@pytest.mark.parametrize("place", [0, 1, 2, None])
def test_a_token_is_held_against_every_valid_one(monkeypatch, place):
    """Whichever matches, or none does: each comparison is made, and takes the same time."""
    compared = []

    def compare(a, b):
        compared.append(b)
        return secrets.compare_digest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = [auth.new_token() for _ in range(3)]
    offered = auth.new_token() if place is None else tokens[place]
    hashes = [token_hash(token) for token in tokens]
    assert auth.matches(offered, *hashes) is (place is not None)
    assert len(compared) == 3
    compared.clear()
    session = Tokens(hashes[0], hashes[2], iter(tokens[1:2]).__next__)
    session.issue()
    assert (session.check(offered) is not None) is (place is not None)
    assert len(compared) == 3


@pytest.mark.requirement("S3")
def test_no_secret_is_compared_in_any_other_way(root):
    """Where tokens are known, ``==`` and ``in`` stand beside none of them: only digests are compared."""
    found = []
    for file in (root / "src/rtstt_lab/server").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Compare) and not any(
                isinstance(part, ast.Constant) and part.value is None for part in node.comparators
            ):
                text = ast.unparse(node).lower()
                if "token" in text or "secret" in text or "hashes" in text:
                    found.append(f"{file.name}:{node.lineno} {text}")
    assert not found


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

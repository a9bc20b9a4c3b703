"""Web pages: which may use a session, which may read an answer, and that nobody is sent elsewhere."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from .talk import TOKEN

EVIL = "https://evil.example"
PAGE = "https://hub.example.org"
LOCAL = "http://localhost:8888"


async def first_word(server, made, origin, route="ws"):
    """What the server says to a page of this origin, and how it closes if it does."""
    async with server.socket(made["session_id"], route, origin=origin) as talk:
        with suppress(ConnectionClosed):  # it was turned away before it said anything
            await talk.send(type="client:hello", token=made["session_token"])
        message = await talk.receive()
        code = await talk.close_code() if message["type"] == "server:error" else None
        return message.get("code"), code


@pytest.mark.requirement("S3")
async def test_a_session_made_for_a_page_is_open_to_that_page_alone(server):
    """The reported origin may, whatever Host says; others, this machine's too, may not; programs may."""
    made = server.create(origin=PAGE)
    for origin in (EVIL, LOCAL, f"http://127.0.0.1:{server.port}", "null", PAGE + ":8443"):
        assert await first_word(server, made, origin) == ("origin_refused", 4403)
    assert await first_word(server, made, PAGE) == (None, None)
    path = f"/{made['session_id']}"
    token = {"token": made["session_token"]}
    assert server.rest("GET", path, **token, headers={"Origin": EVIL}).status_code == 403
    assert server.rest("GET", path, **token, headers={"Origin": PAGE}).status_code == 200
    assert server.rest("GET", path, **token).status_code == 200
    server.rest("DELETE", path)


@pytest.mark.requirement("S3")
async def test_the_page_is_allowed_for_its_own_session_only(server):
    """Another session, and the making of sessions, are as closed to it as before."""
    made, other = server.create(origin=PAGE), server.create()
    assert await first_word(server, other, PAGE) == ("origin_refused", 4403)
    assert await first_word(server, other, LOCAL) == (None, None)
    assert server.rest("POST", json={}, headers={"Origin": PAGE}).status_code == 403
    assert server.rest("GET", headers={"Origin": PAGE}).status_code == 403
    for session in (made, other):
        server.rest("DELETE", f"/{session['session_id']}")


@pytest.mark.requirement("S3", "L4")
async def test_a_page_loaded_again_from_another_address_is_told_with_its_token(server):
    """The owner names the further origin when it asks for the page's token; nobody else can name one."""
    made = server.create(origin=LOCAL)
    path = f"/{made['session_id']}"
    asked = {"json": {"origin": PAGE}}
    assert server.rest("POST", path + "/token", token=made["session_token"], **asked).status_code == 401
    assert await first_word(server, made, PAGE) == ("origin_refused", 4403)
    token = server.rest("POST", path + "/token", **asked).json()["session_token"]
    assert await first_word(server, made | {"session_token": token}, PAGE) == (None, None)
    server.rest("DELETE", path)


@pytest.mark.requirement("S1", "S3")
@pytest.mark.parametrize(
    "origin", ["null", "*", "", "hub.example.org", "https://", "https://a/b", "x" * 300, 7]
)
def test_what_is_no_origin_is_refused(server, origin):
    """An origin is a scheme and a host, as the browser spells it; no pattern, no path, nothing opaque."""
    answer = server.rest("POST", json={"origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (422, "body_malformed")


@pytest.mark.requirement("S3")
@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "*",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example:8888",
        "http://evil.example/http://localhost",
        "http://localhost:8888@evil.example",
        "http://localhost:8888.evil.example",
        "ftp://localhost",
    ],
)
def test_no_answer_is_for_everybody(server, origin):
    """Neither a preflight nor an answer gives a foreign page leave to read, and none names a wildcard."""
    for method, path, headers in (
        ("OPTIONS", "/api/streaming/sessions", {"Access-Control-Request-Method": "POST"}),
        ("OPTIONS", "/api/streaming/sessions/x/blocks", {"Access-Control-Request-Method": "POST"}),
        ("GET", "/api/streaming/sessions", {"Authorization": f"Bearer {TOKEN}"}),
        ("GET", "/healthz", {}),
        ("GET", "/metrics", {"Authorization": f"Bearer {TOKEN}"}),
        ("GET", "/openapi.json", {}),
    ):
        answer = httpx.request(method, server.url + path, headers=headers | {"Origin": origin}, timeout=60)
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers.get("access-control-allow-methods") != "*"


@pytest.mark.requirement("S3")
def test_a_local_page_is_named_and_never_by_a_wildcard(server):
    """What it may read says so for its origin alone, and tells caches."""
    answer = server.rest("GET", headers={"Origin": LOCAL})
    assert answer.headers["access-control-allow-origin"] == LOCAL
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.requirement("S3")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/streaming/sessions/",
        "/api/streaming/sessions?next=https://evil.example",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/healthz/",
        "/docs",
        "/redoc",
    ],
)
def test_nobody_is_sent_elsewhere(server, path):
    """No answer is a redirect, whatever path and Host a request names."""
    for host in (None, "evil.example"):
        headers = {"Host": host} if host else {}
        answer = httpx.get(server.url + path, headers=headers, follow_redirects=False, timeout=60)
        assert answer.status_code < 300 or answer.status_code >= 400
        assert "location" not in answer.headers

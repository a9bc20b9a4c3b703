"""The REST side: bodies, tokens, pages, the document of it all."""

from __future__ import annotations

import httpx
import pytest
from jsonschema import Draft202012Validator

from rtstt_lab.server.app import make_app
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings

from .talk import TOKEN

ORIGIN = {"Origin": "https://evil.example"}


@pytest.mark.requirement("S1", "S3", "L2")
@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"{"}, 422, "body_malformed"),
        ({"content": b"\xff\xfe"}, 422, "body_malformed"),
        ({"content": b"[" * 60_000}, 422, "body_malformed"),
        ({"json": {"modle": "base"}}, 422, "body_malformed"),
        ({"json": {"model": 7}}, 422, "body_malformed"),
        ({"json": {"prompt": "x" * 2001}}, 422, "body_malformed"),
        ({"json": {"model": "no-such-model"}}, 422, "model_unknown"),
        ({"json": {"language": "xx"}}, 422, "language_unknown"),
        ({"json": {"language": "es"}}, 422, "language_english_only"),
        ({"content": b" " * 70_000}, 413, "body_too_large"),
        ({"json": {}, "token": "wrong"}, 401, "authentication"),
        ({"json": {}, "token": None}, 401, "authentication"),
        ({"json": {}, "headers": ORIGIN}, 403, "origin_refused"),
    ],
)
def test_sessions_that_are_not_made(server, request_, status, code):
    """A body, model, language, token or page that can't be: the reason in words, and no session."""
    before = sessions(server)
    answer = server.rest("POST", **request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.json()["message"]) > 20
    assert sessions(server) <= before  # one of another test may have ended meanwhile


def sessions(server):
    """The ids of all that there are."""
    listed = server.rest("GET", params={"limit": 500}).json()
    assert len(listed["sessions"]) == listed["sessions_total"]
    return {session["session_id"] for session in listed["sessions"]}


@pytest.mark.requirement("S1")
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/no-uuid", 404, "session_no_uuid"),
        ("GET", "/123e4567-e89b-12d3-a456-426614174000", 404, "session_unknown"),
        ("DELETE", "/no-uuid", 404, "session_no_uuid"),
        ("POST", "/123e4567-e89b-12d3-a456-426614174000/token", 404, "session_unknown"),
        ("GET", "/123e4567-e89b-12d3-a456-426614174000/transcript", 404, "session_unknown"),
        ("GET", "?limit=0", 422, "query_malformed"),
        ("GET", "?offset=x", 422, "query_malformed"),
        ("PUT", "", 405, "http"),
    ],
)
def test_requests_that_cannot_be_answered(server, method, path, status, code):
    """Each gets its code and words."""
    answer = server.rest(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_failure_of_our_own_ends_the_connection(tmp_path, monkeypatch):
    """It has its words, and the client learns that nothing more is to be had over the same connection."""

    async def delete(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(SessionRegistry, "delete", delete)
    registry = SessionRegistry(ServerSettings(api_token=TOKEN, output=tmp_path, model="tiny.en"))
    transport = httpx.ASGITransport(make_app(registry), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.delete(
            "/api/streaming/sessions/123e4567-e89b-12d3-a456-426614174000",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["connection"] == "close"


@pytest.mark.requirement("S3")
def test_each_session_token_opens_its_own_session_only(server):
    """Another session's token is as good as none; strangers don't learn which ids exist."""
    mine, other = server.create(), server.create()
    path = f"/{mine['session_id']}"
    assert server.rest("GET", path, token=mine["session_token"]).json()["phase"] == "idle"
    assert server.rest("GET", path, token=other["session_token"]).status_code == 401
    assert server.rest("DELETE", path, token=other["session_token"]).status_code == 401
    assert server.rest("GET", "/123e4567-e89b-12d3-a456-426614174000", token="x").status_code == 401
    own = server.rest("GET", token=mine["session_token"]).json()
    assert [session["session_id"] for session in own["sessions"]] == [mine["session_id"]]
    assert own["history"] == []
    paged = server.rest("GET", params={"limit": 1, "offset": 1}).json()
    assert [session["session_id"] for session in paged["sessions"]] == [mine["session_id"]]
    assert paged["sessions_total"] >= 2
    for made in (mine, other):
        assert server.rest("DELETE", f"/{made['session_id']}").status_code == 204
        assert server.rest("GET", f"/{made['session_id']}").status_code == 404


@pytest.mark.requirement("U1")
def test_refusals_come_in_the_callers_language(server):
    """A caller that prefers Spanish is answered in Spanish."""
    spanish = server.rest("GET", "/x", headers={"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"}).json()
    english = server.rest("GET", "/x", headers={"Accept-Language": "en"}).json()
    assert "identificador de sesión" in spanish["message"]
    assert "session id" in english["message"]


@pytest.mark.requirement("S3")
def test_only_named_and_local_pages_may_read_answers(server):
    """CORS names the asking loopback page, never everybody; others get no permission."""

    def preflight(origin):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        address = f"{server.url}/api/streaming/sessions"
        return httpx.options(address, headers=headers, timeout=60).headers

    assert preflight("http://localhost:8888")["access-control-allow-origin"] == "http://localhost:8888"
    assert "access-control-allow-origin" not in preflight("https://evil.example")


@pytest.mark.requirement("L2")
def test_the_interface_is_described(server):
    """The OpenAPI document names every route, and its schemas are valid and all there."""
    document = httpx.get(f"{server.url}/openapi.json", timeout=60).json()
    sessions = "/api/streaming/sessions"
    assert set(document["paths"][sessions]) == {"get", "post"}
    assert set(document["paths"][sessions + "/{session_id}"]) == {"get", "delete"}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    body = document["paths"][sessions]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].rsplit("/", 1)[1] in document["components"]["schemas"]


@pytest.mark.requirement("M2")
def test_health_and_figures(server):
    """Anybody may ask whether it lives; the figures need the token and are in Prometheus' format."""
    assert httpx.get(f"{server.url}/healthz", timeout=60).json() == {"status": "ok"}
    assert httpx.get(f"{server.url}/metrics", timeout=60).status_code == 401
    server.create()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    figures = httpx.get(f"{server.url}/metrics", headers=headers, timeout=60).text
    values = dict(line.rsplit(" ", 1) for line in figures.splitlines() if not line.startswith("#"))
    assert float(values["rtstt_sessions_created_total"]) >= 1
    assert float(values["rtstt_process_cpu_seconds"]) > 0

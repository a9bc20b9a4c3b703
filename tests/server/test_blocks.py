"""Blocks over HTTP to a real server: taken, refused, answered to the end, and across its death."""

from __future__ import annotations

import json
import time

import pytest

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.protocol.blocks import encode_block
from rtstt_lab.protocol.messages import MAX_BLOCK_BYTES, ClientControl

from .talk import Server, frame


class Poster:
    """One session's client that knows only HTTP."""

    def __init__(self, server: Server) -> None:
        self.server = server
        made = server.create()
        self.session_id, self.token = made["session_id"], made["session_token"]
        self.events: list[dict] = []

    def post(self, *frames: bytes, controls=(), **request):
        after = self.events[-1]["event"] if self.events else 0
        body = request.pop("body", encode_block(controls, frames))
        path = f"/{self.session_id}/blocks?after={after}"
        answer = self.server.rest("POST", path, token=self.token, content=body, **request)
        if answer.status_code == 202:
            self.events += answer.json().get("events", [])
        return answer

    def until_completed(self, limit_s: float = 60.0) -> dict:
        deadline = time.monotonic() + limit_s
        while not self.events or self.events[-1]["type"] != "server:session_completed":
            assert time.monotonic() < deadline, self.events
            assert self.post().status_code == 202
            time.sleep(0.1)
        return self.events[-1]["summary"]

    @property
    def said(self) -> str:
        return " ".join(e["text"] for e in self.events if e["type"] == "server:transcription_final")


@pytest.mark.requirement("R3", "L5", "D3")
def test_a_session_wholly_in_blocks(server, speech, spoken):
    """Start, speech in two blocks of which one comes twice, stop: every word, and the outcome for a day."""
    poster = Poster(server)
    half = len(speech) // 2
    first = [frame(seq, payload) for seq, payload in enumerate(speech[:half])]
    second = [frame(seq, payload) for seq, payload in enumerate(speech[half:], half)]
    poster.post(*first, controls=[ClientControl("start", 1, 0)])
    receipt = poster.post(*first, *second, controls=[ClientControl("stop", 2, len(speech))]).json()
    assert receipt["ack"]["next_seq"] == len(speech)
    assert receipt["ack"]["received"] == {"accepted": len(speech), "duplicate": half}
    summary = poster.until_completed()
    assert summary["complete"]
    assert summary["duration_s"] == pytest.approx(len(speech) * 0.25)
    assert normalizer("en")(poster.said).startswith(normalizer("en")(spoken))
    poster.post()  # this says that all of it has come
    poster.events.pop()
    again = poster.post().json()
    assert again["phase"] == "completed"
    assert [event["type"] for event in again["events"]] == ["server:session_completed"]


@pytest.mark.requirement("R1", "R3", "L4")
def test_a_block_takes_a_killed_servers_session_up(own_server, speech, spoken):
    """Half of it is told to a server that dies; the next one's first receipt says what it wants again."""
    poster = Poster(own_server())
    frames = [frame(seq, payload, mime="audio/pcm;rate=16000") for seq, payload in enumerate(speech)]
    half = len(speech) // 2
    poster.post(*frames[:half], controls=[ClientControl("start", 1, 0)])
    poster.server.process.kill()
    poster.server.process.wait()

    poster.server = own_server()
    receipt = poster.post().json()
    wanted = receipt["ack"]["next_seq"]
    assert receipt["phase"] == "recording"
    assert wanted <= half
    poster.post(*frames[wanted:], controls=[ClientControl("stop", 2, len(speech))])
    summary = poster.until_completed()
    assert summary["complete"]
    assert summary["duration_s"] == pytest.approx(len(speech) * 0.25)
    assert normalizer("en")(poster.said).startswith(normalizer("en")(spoken))


@pytest.mark.requirement("S1", "S3", "S4")
@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"body": b"\x01\x00"}, 422, "block_record"),
        ({"body": frame(0, b"abc")[:-1]}, 422, "block_record"),
        ({"body": bytes(MAX_BLOCK_BYTES + 1)}, 413, "body_too_large"),
        ({"headers": {"Origin": "https://evil.example"}}, 403, "origin_refused"),
    ],
)
def test_blocks_that_are_refused(server, request_, status, code):
    """A record that cannot be read, a body too long, a page from elsewhere: said why, and nothing taken."""
    poster = Poster(server)
    answer = poster.post(**request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert poster.post().json()["ack"]["next_seq"] == 0


@pytest.mark.requirement("S1", "S3")
def test_a_block_needs_its_session_and_its_token(server):
    """Another session's token opens nothing; a session that is not there is not made."""
    poster, other = Poster(server), Poster(server)
    for path, token, status, code in (
        (poster.session_id, other.token, 401, "authentication"),
        (poster.session_id, None, 401, "authentication"),
        ("123e4567-e89b-12d3-a456-426614174000", "wrong", 401, "authentication"),
        ("no-uuid", poster.token, 404, "session_no_uuid"),
    ):
        answer = server.rest("POST", f"/{path}/blocks", token=token)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    unknown = server.rest("POST", "/123e4567-e89b-12d3-a456-426614174000/blocks")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "session_unknown")
    late = server.rest("POST", f"/{poster.session_id}/blocks?after=x", token=poster.token)
    assert (late.status_code, late.json()["code"]) == (422, "query_malformed")


def test_the_document_describes_the_route(server):
    """OpenAPI names the body, the receipt and the refusals."""
    document = server.rest("GET", "/../../../openapi.json").json()
    route = document["paths"]["/api/streaming/sessions/{session_id}/blocks"]["post"]
    assert {"202", "401", "404", "413", "422", "429"} <= route["responses"].keys()
    assert "BlockReceipt" in json.dumps(route["responses"]["202"])
    assert document["components"]["schemas"]["BlockReceipt"]["properties"]["ack"]

"""Sessions over real sockets, with the real model, from POST to the purge."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import jiwer
import pytest

from rtstt_lab.analysis.wer import normalizer

from .talk import CHUNK_BYTES, TOKEN

SILENCE = bytes(CHUNK_BYTES)


def wer(said, heard):
    norm = normalizer("en")
    return jiwer.wer(norm(said), norm(heard))


@pytest.mark.requirement("L2", "L3", "L5", "D2", "D3", "M2", "M3", "S2")
async def test_a_session_from_post_to_purge(server, speech, spoken):
    """Created, connected, recorded, acknowledged, recognised, finished, saved, purged: each step is told."""
    made = server.create(language="en", metadata={"source": "test"})
    assert made["protocol"] == "rtstt.v1"
    assert made["limits"]["max_chunk_bytes"] == 1_000_000
    path = f"/{made['session_id']}"
    async with server.socket(made["session_id"]) as talk:
        created = await talk.hello(made["session_token"])
        assert created["type"] == "server:session_created"
        assert created["sync"]["phase"] == "idle"
        await talk.control("start", 0)
        await talk.until("server:status", phase="recording")
        following = await talk.say(speech)
        metrics = await talk.until("server:metrics")
        assert metrics["ram_available_mb"] > 0
        while metrics["heard_s"] < 8:
            metrics = await talk.until("server:metrics")
        assert metrics["process_cpu_s"] > 0
        assert metrics["rss_mb"] > 50
        if not talk.of("server:transcription_partial"):
            await talk.until("server:transcription_partial")
        live = server.rest("GET", path, token=made["session_token"]).json()
        assert (live["phase"], live["connected"], live["audio_s"]) == ("recording", True, 8.0)

        await talk.control("stop", following)
        await talk.until("server:status", state="finalizing")
        completed = await talk.until("server:session_completed")
        acks = [ack for ack in talk.of("server:ack") if ack["seq"] is not None]
        assert [ack["seq"] for ack in acks] == list(range(len(speech)))
        finals = talk.of("server:transcription_final")
        text = " ".join(final["text"] for final in finals)
        assert wer(spoken, text) <= 0.15
        for final in finals:
            assert 0.3 < final["confidence"] <= 1
            assert [w["start_ms"] for w in final["words"]] == sorted(w["start_ms"] for w in final["words"])

        srt = server.rest("GET", f"{path}/transcript", params={"format": "srt"})
        assert "-->" in srt.text
        await talk.send(type="client:ack", event=completed["event"])
        assert await talk.close_code() == 1000

    summary = completed["summary"]
    assert summary["complete"]
    assert summary["received"]["accepted"] == len(speech)
    assert summary["duration_s"] == 8.0
    file = Path(summary["file"])
    assert file.parent == server.output
    assert all(final["text"] in file.read_text("utf-8") for final in finals)
    assert {entry.suffix for entry in server.output.iterdir() if entry.is_file()} == {".txt"}

    stone = server.rest("GET", path).json()
    assert (stone["phase"], stone["stage"], stone["file"]) == ("completed", "released", str(file))
    assert stone["metadata"] == {"source": "test"}
    saved = server.rest("GET", f"{path}/transcript", token=TOKEN)
    assert saved.text == file.read_text("utf-8")
    assert server.rest("GET", f"{path}/transcript", params={"format": "json"}).status_code == 404
    listed = server.rest("GET").json()
    assert made["session_id"] in {session["session_id"] for session in listed["sessions"]}
    assert made["session_id"] in {entry["session_id"] for entry in listed["history"]}

    async with server.socket(made["session_id"]) as late:
        await late.send(type="client:hello", token=created["sync"]["token"], resuming=True)
        assert (await late.receive())["summary"]["file"] == str(file)
        assert await late.close_code() == 1000

    assert server.rest("DELETE", path, params={"file": "true"}).status_code == 204
    assert server.rest("DELETE", path, params={"file": "true"}).status_code == 204
    assert not file.exists()
    assert server.rest("GET", path).status_code == 404


@pytest.mark.requirement("S2")
async def test_no_audio_is_written(server, speech):
    """While a session records, the server has no file open for writing, besides its log and text journals."""
    made = server.create()
    folder = Path(f"/proc/{server.process.pid}")
    if not folder.exists():
        pytest.skip("no /proc on this system")

    def written():
        files = set()
        for entry in (folder / "fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # closed meanwhile
                flags = int((folder / "fdinfo" / entry.name).read_text().split("flags:")[1].split()[0], 8)
                target = Path(entry.readlink())
                if flags & 0o3 and target.is_file():
                    files.add(target)
        return files

    async with server.socket(made["session_id"]) as talk:
        await talk.hello()
        await talk.control("start", 0)
        for seq, payload in enumerate(speech):
            await talk.chunk(seq, payload)
            await talk.until("server:ack", seq=seq)
            journals = {*(server.output / ".rtstt_journal").glob("*.jsonl")}
            assert written() <= {server.log} | journals
        assert server.rest("DELETE", f"/{made['session_id']}").status_code == 204
        error = await talk.until("server:error")
        assert error["fatal"]
    for file in server.output.rglob("*"):
        with suppress(FileNotFoundError):  # another test's journal, whose session has ended
            assert not file.is_file() or made["session_id"] not in file.name + file.read_text("utf-8")


@pytest.mark.requirement("E2", "E4", "S1")
async def test_bad_frames_are_told_and_the_session_goes_on(server, speech, spoken):
    """Each kind of wrong frame gets its error; what can be sent again is; nothing that was said is lost."""
    made = server.create(language="en")
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await talk.say(speech[:4])

        await talk.chunk(4, speech[4], crc32=1)
        assert (await talk.until("server:error"))["code"] == "checksum"
        await talk.chunk(4, speech[4], bytes=7)
        assert (await talk.until("server:error"))["code"] == "frame_length"
        await talk.socket.send(b"\x05")
        assert (await talk.until("server:error"))["code"] == "frame_short"
        await talk.socket.send("{no json")
        assert (await talk.until("server:error"))["code"] == "frame_malformed"
        await talk.send(type="client:dance")
        unknown = await talk.until("server:error")
        assert unknown["code"] == "frame_malformed"
        assert not unknown.get("fatal")

        await talk.chunk(5, speech[5])
        assert (await talk.until("server:ack", seq=5))["missing"] == [4]
        await talk.chunk(4, speech[4])
        assert (await talk.until("server:ack", seq=4))["next_seq"] == 6
        await talk.chunk(4, speech[4])
        assert (await talk.until("server:ack", seq=4))["received"]["duplicate"] == 1
        following = await talk.say(speech[6:], first=6)

        await talk.chunk(following, bytes(1_000_001))
        await talk.until("server:error", code="chunk_too_large")
        await talk.control("stop", following + 1)
        summary = (await talk.until("server:session_completed"))["summary"]
        assert summary["received"]["accepted"] == len(speech)
        assert summary["received"]["lost"] == 1
        assert not summary["complete"]
        text = " ".join(final["text"] for final in talk.of("server:transcription_final"))
        assert wer(spoken, text) <= 0.15


@pytest.mark.requirement("S1", "S3")
async def test_links_that_are_turned_away(server):
    """No UUID, unknown session, wrong token, no hello, wrong page: a reason first, then the right code."""
    session_id = server.create()["session_id"]

    async def refused(where, message=None, **options):
        async with server.socket(where, **options) as talk:
            if message is not None:
                await talk.send(**message)
            error = await talk.until("server:error")
            assert error["fatal"]
            return error["code"], await talk.close_code()

    hello = {"type": "client:hello", "token": "x" * 43}
    outcomes = await asyncio.gather(
        refused("no-uuid"),
        refused(uuid4()),
        refused(session_id, hello),
        refused(session_id, {"type": "client:ping", "sent_ms": 0}),
        refused(session_id, hello, route="events"),
        refused(session_id, origin="https://evil.example"),
        refused(session_id),
    )
    assert outcomes == [
        ("session_no_uuid", 4404),
        ("session_unknown", 4404),
        ("authentication", 4401),
        ("hello_first", 4401),
        ("authentication", 4401),
        ("origin_refused", 4403),
        ("hello_late", 4400),
    ]
    async with server.socket(session_id, origin="http://localhost:8888") as talk:
        assert (await talk.hello())["type"] == "server:session_created"
    assert server.rest("DELETE", f"/{session_id}").status_code == 204


@pytest.mark.requirement("O4", "D2")
async def test_two_sessions_at_once(server, speech, spoken):
    """Two sessions that record at the same time both get all of their own text."""

    async def run():
        made = server.create(language="en")
        async with server.socket(made["session_id"]) as talk:
            await talk.hello(made["session_token"])
            await talk.control("start", 0)
            await talk.control("stop", await talk.say(speech))
            completed = await talk.until("server:session_completed")
            await talk.send(type="client:ack", event=completed["event"])
            return talk.of("server:transcription_final"), completed["summary"]["file"]

    first, second = await asyncio.gather(run(), run())
    for finals, _ in (first, second):
        assert wer(spoken, " ".join(final["text"] for final in finals)) <= 0.15
    assert first[1] != second[1]


@pytest.mark.requirement("L4", "O1")
async def test_a_viewer_and_a_second_page(server, speech):
    """A viewer sees every numbered event and no token; a page with a fresh token takes over, told all."""
    made = server.create(language="en")
    where = made["session_id"]
    async with server.socket(where) as talk, server.socket(where, "events?after=1") as viewer:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await viewer.send(type="client:hello", token=made["session_token"])
        await talk.say(speech)
        await talk.control("pause", len(speech))
        await asyncio.gather(
            talk.until("server:transcription_final"), viewer.until("server:transcription_final")
        )

        renewed = server.rest("POST", f"/{where}/token")
        assert renewed.status_code == 201
        assert server.rest("POST", f"/{where}/token", token=made["session_token"]).status_code == 401
        async with server.socket(where) as page:
            answer = await page.hello(renewed.json()["session_token"])
            assert answer["sync"]["phase"] == "paused"
            assert (await page.until("server:transcription_final"))["text"]
            assert await talk.close_code() == 4409
            assert any(error["code"] == "continued_elsewhere" for error in talk.of("server:error"))
            page.controls = answer["sync"]["controls"]
            await page.control("stop", len(speech))
            completed = await page.until("server:session_completed")
            await page.send(type="client:ack", event=completed["event"])
            assert await viewer.close_code() == 1000
        numbers = [message["event"] for message in viewer.seen if message.get("event")]
        assert numbers == list(range(2, completed["event"] + 1))
        assert '"token"' not in json.dumps(viewer.seen)
    assert server.rest("GET", f"/{where}", token=made["session_token"]).status_code == 401

"""Sessions that nobody has open are taken up when somebody asks for them, and by one server at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rtstt_lab.engine.journal import EventRecord, recover
from rtstt_lab.errors import (
    LimitError,
    OverloadedError,
    SessionNotFoundError,
)
from rtstt_lab.protocol.messages import ClientControl, ClientHello, CreateSession
from rtstt_lab.server.journal import JournalFolder
from rtstt_lab.server.past import Suspended
from rtstt_lab.transcript import history

from . import left
from .open_sessions import API, Client, opened, serving
from .talk import frame


@pytest.mark.requirement("R2", "L4", "S3")
async def test_a_fresh_token_takes_a_session_up_again(tmp_path):
    """It is live then, with its page, its words and its tokens; the new one is in the journal already."""
    folder = tmp_path / ".rtstt_journal"
    session_id = left.session(folder)
    async with serving(tmp_path) as registry:
        token = await registry.renew_token(session_id, "https://other.example.org")
        host = registry.host(session_id)
        assert registry.known(session_id) is host
        assert registry.suspended == 0
        assert registry.pages(session_id) == (left.PAGE, "https://other.example.org")
        assert host.engine.transcript().text == left.SAID.strip()
        state = recover(registry._journals.read(session_id))
        assert state.pages == host.pages
        assert state.token_hashes == host.token_hashes
        assert len(state.token_hashes) == 2
        for known in (token, left.TOKEN):
            registry.authorise(session_id, known)
        assert await registry.host_or_reopen(session_id) is host


@pytest.mark.requirement("R1", "L4")
async def test_many_who_come_at_once_find_one_session(tmp_path):
    """Whoever asks while it is being taken up gets the same one, also when the first asker went away."""
    session_id = left.session(tmp_path / ".rtstt_journal")
    async with serving(tmp_path) as registry:
        first = asyncio.create_task(registry.host_or_reopen(session_id))
        await asyncio.sleep(0)
        first.cancel()
        hosts = await asyncio.gather(*(registry.host_or_reopen(session_id) for _ in range(3)))
        assert {id(host) for host in hosts} == {id(registry.host(session_id))}


@pytest.mark.requirement("L4", "R1", "O3")
async def test_a_client_that_stays_away_finds_its_session_again(tmp_path, speech):
    """After two minutes it is suspended: model and place are free, what was said is there; it goes on."""
    async with serving(tmp_path, max_sessions=1) as registry:
        made, client = await opened(registry)
        host = client.host
        client.say(ClientControl("start", 1, 0))
        for seq, payload in enumerate(speech[:16]):
            client.say(frame(seq, payload))
        await client.until(lambda said: said["type"] == "server:ack" and said["next_seq"] == 16)
        host.link_lost(client.link)
        host.engine.handle_timer(registry._clock() + 121)
        host.drain()
        await asyncio.wait_for(host.settled.wait(), 60)  # what was heard is settled first
        assert registry.suspended == 1
        assert registry.host(made.session_id) is None
        assert registry._models._loaded["tiny.en"].users == 1  # the server's own
        assert "laboratory" in await registry.transcript(made.session_id, API, "txt")
        assert history(tmp_path) == []
        other = await registry.create(CreateSession())
        await registry.delete(other.session_id, API, file=False)

        client = Client(await registry.host_or_reopen(made.session_id))
        client.say(ClientHello(made.session_token, resuming=True))
        sync = (await client.until(lambda said: said.get("resumed")))["sync"]
        for seq, payload in enumerate(speech[sync["next_seq"] :], sync["next_seq"]):
            client.say(frame(seq, payload, mime="audio/pcm;rate=16000"))
        client.say(ClientControl("stop", 2, len(speech)))
        completed = await client.until(lambda said: said["type"] == "server:session_completed")
        summary = completed["summary"]
        assert (summary["complete"], summary["duration_s"]) == (True, 8.0)
        text = Path(summary["file"]).read_text("utf-8")
        assert text.count("laboratory") == 1
        assert "small" in text


@pytest.mark.requirement("S4", "R1")
async def test_limits_count_what_is_live(tmp_path):
    """A suspended session takes no place; taken up it does, and is refused with the time to try again."""
    session_id = left.session(tmp_path / ".rtstt_journal")
    async with serving(tmp_path, max_sessions=1) as registry:
        made = await registry.create(CreateSession())
        with pytest.raises(LimitError) as refused:
            await registry.host_or_reopen(session_id)
        assert refused.value.retry_after_s
        await registry.delete(made.session_id, API, file=False)
        await registry.host_or_reopen(session_id)
        with pytest.raises(LimitError):
            await registry.create(CreateSession())


@pytest.mark.requirement("R1", "D3", "S2")
async def test_two_servers_on_one_folder(tmp_path, speech):
    """Each sees what the other has not open; what one ends at once the other goes on with, into one file."""
    session_id = left.session(tmp_path / ".rtstt_journal")
    async with serving(tmp_path) as other:
        async with serving(tmp_path) as registry:
            host = await registry.host_or_reopen(session_id)
            with pytest.raises(OverloadedError):
                await other.host_or_reopen(session_id)
            with pytest.raises(OverloadedError):
                await other.delete(session_id, API, file=False)
            await other._suspended.refresh()
            assert other.suspended == 0
            with pytest.raises(SessionNotFoundError):
                other.known(session_id)
            assert registry.host(session_id) is host
        (first,) = history(tmp_path)
        assert not first.complete
        await other._suspended.refresh()
        host = await other.host_or_reopen(session_id)
        client = Client(host)
        client.say(ClientHello(left.TOKEN, last_event=2, resuming=True))
        sync = (await client.until(lambda said: said.get("resumed")))["sync"]
        assert (sync["phase"], sync["next_seq"]) == ("recording", left.CHUNKS)
        for seq, payload in enumerate(speech[8:16], left.CHUNKS):
            client.say(frame(seq, payload, mime="audio/pcm;rate=16000"))
        client.say(ClientControl("stop", 2, 16))
        completed = await client.until(lambda said: said["type"] == "server:session_completed")
        (header,) = history(tmp_path)
        assert (header.complete, header.duration_s) == (True, 4.0)
        assert str(header.file) == completed["summary"]["file"]
    assert not (tmp_path / ".rtstt_journal").exists()


@pytest.mark.requirement("S2", "U1")
async def test_a_server_says_whose_sessions_wait(own_server, tmp_path):
    """At its start, and where they lie is an option."""
    folder = tmp_path / "elsewhere"
    session_id = left.session(folder)
    server = own_server("--journal", str(folder))
    assert "1" in next(line for line in server.log.read_text("utf-8").splitlines() if "earlier" in line)
    listed = server.rest("GET").json()["sessions"]
    assert [(entry["session_id"], entry["stage"]) for entry in listed] == [(session_id, "suspended")]
    async with server.socket(session_id, "events?after=1") as viewer:
        await viewer.send(type="client:hello", token=left.TOKEN)
        assert (await viewer.receive())["text"] == left.SAID.strip()
        assert await viewer.close_code() == 1000
    assert server.rest("GET", f"/{session_id}").json()["stage"] == "suspended"
    renewed = server.rest("POST", f"/{session_id}/token")
    assert renewed.status_code == 201
    async with server.socket(session_id) as talk:
        welcome = await talk.hello(renewed.json()["session_token"], resuming=True, last_event=2)
        assert (welcome["resumed"], welcome["sync"]["next_seq"]) == (True, left.CHUNKS)
    other = left.session(folder)
    assert server.rest("GET", f"/{other}").status_code == 404
    assert not Path(server.output, ".rtstt_journal").exists()


@pytest.mark.requirement("S1", "R1")
async def test_what_a_kill_left_of_a_creation_is_never_taken_up(tmp_path):
    """Killed before anybody was given a token: the server starts, and says that there is no such session."""
    folder = tmp_path / ".rtstt_journal"
    session_id = left.session(folder)
    path = folder / f"{session_id}.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    async with serving(tmp_path) as registry:
        with pytest.raises(SessionNotFoundError):
            await registry.renew_token(session_id)


@pytest.mark.requirement("S1", "R1")
async def test_an_event_that_is_not_understood_is_a_journal_that_is_not(tmp_path):
    """An event of another version: that session is not known here, the others are."""
    folder = tmp_path / ".rtstt_journal"
    session_id, other = left.session(folder), left.session(folder)
    journal, _ = JournalFolder(folder).take(session_id)
    journal.append(EventRecord('{"type":"server:news"}'))
    journal.close()
    async with serving(tmp_path) as registry:
        with pytest.raises(SessionNotFoundError):
            registry.known(session_id)
        assert isinstance(registry.known(other), Suspended)

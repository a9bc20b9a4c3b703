"""Sessions that nobody has open: found at the start, taken up when asked for, given up after a day."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rtstt_lab.engine.effects import ResourceSample
from rtstt_lab.engine.journal import EventRecord, PagesRecord, recover
from rtstt_lab.engine.status import Stage
from rtstt_lab.errors import (
    AuthenticationError,
    LimitError,
    OverloadedError,
    SessionNotFoundError,
    StorageError,
)
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import ClientControl, ClientHello, CreateSession, encode
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.journal import JournalFolder
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.server.past import KEPT_S, Suspended, Tombstone
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.transcript import history

from . import left
from .talk import frame

API = "t" * 32


@asynccontextmanager
async def serving(output, *, wall=time.time, **changes):
    """A server's sessions, without the server."""
    settings = ServerSettings(**({"api_token": API, "output": output, "model": "tiny.en"} | changes))
    registry = SessionRegistry(settings, wall=wall)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()


def journals(output):
    """Session ids of the journals that lie there."""
    return {file.stem for file in (output / ".rtstt_journal").glob("*.jsonl")}


class Client:
    """Talks with a session's host; keeps what it is told."""

    def __init__(self, host):
        self.host = host
        self.told = []
        self._outbox = Outbox()
        self._changed = asyncio.Event()
        self._outbox.put = self._take
        self.link = host.link_opened(self._outbox)

    def _take(self, said):
        self.told.append(json.loads(said))
        self._changed.set()

    def say(self, message):
        self.host.receive(message if isinstance(message, bytes) else encode(message), self.link)

    async def until(self, wanted):
        """The first message of which this is true."""
        async with asyncio.timeout(60):
            while not (found := next(filter(wanted, self.told), None)):
                self._changed.clear()
                await self._changed.wait()
        return found


@pytest.mark.requirement("R1", "R2", "S1", "S2")
async def test_a_suspended_session_is_listed_exported_and_deleted(tmp_path):
    """Like a live one, by its own token or the server's; no model is held for it, and a day is not over."""
    session_id = left.session(tmp_path / ".rtstt_journal")
    async with serving(tmp_path, max_sessions=1) as registry:
        assert registry.suspended == 1
        for token in (API, left.TOKEN):
            (found,) = registry.visible(token)
            assert isinstance(found, Suspended)
            assert found.metadata == {"who": "left"}
            status = found.status
            assert (status.session_id, status.stage) == (session_id, Stage.SUSPENDED)
            assert (status.phase, status.audio_s) == (Phase.RECORDING, 2.0)
            assert (status.words, status.finals, status.received.accepted) == (4, 1, left.CHUNKS)
        for token in (None, "wrong"):
            with pytest.raises(AuthenticationError):
                registry.authorise(session_id, token)
        for kind in ("txt", "json", "srt", "vtt", "csv"):
            assert "laboratory" in await registry.transcript(session_id, left.TOKEN, kind)
        assert registry.pages(session_id) == (left.PAGE,)
        await registry.create(CreateSession())
        await registry.delete(session_id, left.TOKEN, file=False)
        await registry.delete(session_id, API, file=False)
        with pytest.raises(SessionNotFoundError):
            registry.known(session_id)
        assert registry.suspended == 0
        assert session_id not in journals(tmp_path)
    assert history(tmp_path) == []
    assert not (tmp_path / ".rtstt_journal").exists()


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


@pytest.mark.requirement("S2", "L4", "D3")
async def test_nobody_comes_back_for_a_day(tmp_path):
    """What was said is saved as an incomplete transcript, then everything is forgotten."""
    now_s = time.time()
    folder = tmp_path / ".rtstt_journal"
    old = left.session(folder, written_s=now_s - KEPT_S + 60)
    silent = left.session(folder, said="", written_s=now_s - KEPT_S + 60)
    young = left.session(folder, written_s=now_s)
    damaged = folder / f"{'0' * 8}-0000-4000-8000-{'0' * 12}.jsonl"
    damaged.write_bytes(b"x")
    async with serving(tmp_path, wall=lambda: now_s) as registry:
        assert registry.suspended == 3
        assert history(tmp_path) == []
        now_s += 61
        await registry._suspended.refresh()
        assert registry.suspended == 1
        (header,) = history(tmp_path)
        assert (header.session_id, header.complete, header.duration_s) == (old, False, 2.0)
        assert left.SAID.strip() in header.file.read_text("utf-8")
        for gone in (old, silent):
            with pytest.raises(SessionNotFoundError):
                registry.authorise(gone, API)
        assert journals(tmp_path) == {young, damaged.stem}
        now_s += KEPT_S
        await registry._suspended.refresh()
        assert len(history(tmp_path)) == 2
        assert not folder.exists()


@pytest.mark.requirement("D3", "R1")
async def test_what_cannot_be_saved_is_kept(tmp_path):
    """The folder of transcripts can't be written: the journal stays until it can."""
    output, folder = tmp_path / "output", tmp_path / "journal"
    now_s = time.time()
    session_id = left.session(folder, written_s=now_s)
    output.mkdir()
    async with serving(output, journal=folder, wall=lambda: now_s) as registry:
        output.rmdir()
        output.write_text("no folder")
        now_s += KEPT_S
        await registry._suspended.refresh()
        assert registry.suspended == 1
        output.unlink()
        await registry._suspended.refresh()
        assert registry.suspended == 0
        assert [header.session_id for header in history(output)] == [session_id]
        assert not folder.exists()


@pytest.mark.requirement("L4", "R1", "O3")
async def test_a_client_that_stays_away_finds_its_session_again(tmp_path, speech):
    """After two minutes it is suspended: model and place are free, what was said is there; it goes on."""
    async with serving(tmp_path, max_sessions=1) as registry:
        made = await registry.create(CreateSession(language="en"))
        host = registry.host(made.session_id)
        client = Client(host)
        client.say(ClientHello(made.session_token))
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


@pytest.mark.requirement("L4", "R1")
async def test_what_happens_while_the_folder_is_looked_at_is_known(tmp_path, monkeypatch):
    """A session that is suspended meanwhile is there; one that is reopened meanwhile is no more."""
    first, second = [left.session(tmp_path / ".rtstt_journal") for _ in range(2)]
    async with serving(tmp_path) as registry:
        registry._upkeep.stop()
        host = await registry.host_or_reopen(second)
        look, loop = registry._suspended._look, asyncio.get_running_loop()
        looked, go_on = asyncio.Event(), threading.Event()

        def look_slowly(known):
            found = look(known)
            loop.call_soon_threadsafe(looked.set)
            assert go_on.wait(60)
            return found

        monkeypatch.setattr(registry._suspended, "_look", look_slowly)
        refreshing = asyncio.create_task(registry._suspended.refresh())
        await asyncio.wait_for(looked.wait(), 60)
        await registry.host_or_reopen(first)
        host.engine.handle_timer(registry._clock() + 121)
        host.drain()
        await asyncio.wait_for(host.settled.wait(), 60)
        go_on.set()
        await refreshing
        assert registry.suspended == 1
        assert isinstance(registry.known(second), Suspended)
        assert isinstance(registry.known(first), SessionHost)


@pytest.mark.requirement("L4", "R1")
@pytest.mark.parametrize("held", [None, (0, 40)])
async def test_a_server_that_ends_leaves_a_session_whose_audio_is_not_back_yet(tmp_path, held):
    """Its client holds audio that an earlier server had: what is known is saved, and the journal stays."""
    session_id = left.session(tmp_path / ".rtstt_journal")
    async with serving(tmp_path) as registry:
        host = await registry.host_or_reopen(session_id)
        if held:
            Client(host).say(ClientHello(left.TOKEN, held=held, resuming=True))
        await asyncio.wait_for(registry.settle(), 60)
    assert journals(tmp_path) == {session_id}
    (saved,) = history(tmp_path)
    assert not saved.complete


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


@pytest.mark.requirement("L5", "S2")
async def test_how_it_ended_is_known_to_the_next_server(tmp_path):
    """Killed before the client answered the last word: it learns the outcome; ten minutes later all goes."""
    now_s = time.time()
    file = tmp_path / "transcripcion_20260101_000000.txt"
    session_id = left.session(tmp_path / ".rtstt_journal", file=file)
    async with serving(tmp_path, wall=lambda: now_s) as registry:
        assert registry.suspended == 0
        stone = registry.authorise(session_id, left.TOKEN)
        assert isinstance(stone, Tombstone)
        assert stone.file == str(file)
        assert json.loads(stone.last_event)["type"] == "server:session_completed"
        with pytest.raises(SessionNotFoundError):
            await registry.host_or_reopen(session_id)
        assert journals(tmp_path) == {session_id}
        now_s += 601
        await registry._suspended.refresh()
        assert journals(tmp_path) == set()
        assert history(tmp_path) == []


@pytest.mark.requirement("D3", "L5")
async def test_a_transcript_that_cannot_be_deleted_is_said(own_server, tmp_path):
    """507, with the file's name and what to do; the session is still there to try again."""
    stuck = tmp_path / "transcripcion_20260101_000000.txt"
    (stuck / "inside").mkdir(parents=True)
    session_id = left.session(tmp_path / "output/.rtstt_journal", file=stuck)
    server = own_server()
    for _ in range(2):
        refused = server.rest("DELETE", f"/{session_id}", params={"file": "true"})
        assert (refused.status_code, refused.json()["code"]) == (507, "transcript_delete")
        assert str(stuck) in refused.json()["message"]
    (stuck / "inside").rmdir()
    stuck.rmdir()
    assert server.rest("DELETE", f"/{session_id}", params={"file": "true"}).status_code == 204
    assert server.rest("GET", f"/{session_id}").status_code == 404
    assert not (tmp_path / "output/.rtstt_journal").exists()


@pytest.mark.requirement("L5")
async def test_a_tombstone_goes_after_a_day(tmp_path):
    """Until then it says how the session ended; of too many the oldest goes before."""
    now = 0.0
    registry = SessionRegistry(ServerSettings(api_token=API, output=tmp_path, model="tiny.en"))
    registry._clock = registry._tombstones._clock = lambda: now
    await registry.start()
    made = await registry.create(CreateSession())
    await registry.delete(made.session_id, API, file=False)
    with pytest.raises(SessionNotFoundError):
        registry.known(made.session_id)
    made = await registry.create(CreateSession())
    registry.host(made.session_id).engine.finish(now)
    registry.host(made.session_id).drain()
    assert isinstance(registry.known(made.session_id), Tombstone)
    now = KEPT_S - 1
    registry._tombstones.expire()
    assert isinstance(registry.known(made.session_id), Tombstone)
    now = KEPT_S
    registry._tombstones.expire()
    with pytest.raises(SessionNotFoundError):
        registry.known(made.session_id)
    await registry.close()


@pytest.mark.requirement("E3", "R1")
async def test_a_full_disk_is_told_and_costs_nothing(small_disk, tmp_path, speech):
    """Marks stand still as long as the journal can't be written: audio stays with the client till then."""
    place, empty, full = small_disk
    async with serving(tmp_path, journal=place / "journal") as registry:
        registry._upkeep.stop()
        made = await registry.create(CreateSession(language="en"))
        host = registry.host(made.session_id)
        client = Client(host)
        client.say(ClientHello(made.session_token))
        full()
        while not host.journal.waiting:  # a little fits into the file's last block
            host.keep(PagesRecord(()))
        client.say(ClientControl("start", 1, 0))
        for seq, payload in enumerate(speech[:16]):
            client.say(frame(seq, payload))
        client.say(ClientControl("flush", 2, 16))
        await client.until(lambda said: said["type"] == "server:transcription_final")
        host.keep_again()
        await client.until(lambda said: said.get("degraded") == "journal")
        assert {said.get("committed_seq", 0) for said in client.told if said["type"] == "server:ack"} == {0}
        empty()
        host.keep_again()
        await client.until(lambda said: said["type"] == "server:ack" and said.get("committed_seq"))
        assert host.session.degraded != "journal"
        state = recover(registry._journals.read(made.session_id))
        assert [final.text for final in state.finals] == [
            final.text for final in host.engine.transcript().finals
        ]
        await registry.delete(made.session_id, API, file=False)


@pytest.mark.requirement("S2")
async def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path):
    """With its name, before anything is served."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="--journal"):
        async with serving(tmp_path, journal=tmp_path / "file" / "journal"):
            pass


@pytest.mark.requirement("R1")
async def test_a_disk_that_fails_is_told_and_frees_no_audio(tmp_path, monkeypatch):
    """What the disk does not take is as good as not written; once it takes it, all goes on."""
    async with serving(tmp_path) as registry:
        registry._upkeep.stop()
        made = await registry.create(CreateSession(language="en"))
        host = registry.host(made.session_id)
        client = Client(host)
        client.say(ClientHello(made.session_token))
        client.say(ClientControl("start", 1, 0))
        with monkeypatch.context() as failing:

            def fail(_: int) -> None:
                raise OSError(errno.EIO, "the disk is gone")

            failing.setattr("os.fsync", fail)
            await registry._upkeep.keep()
            await client.until(lambda said: said.get("degraded") == "journal")
            host.keep_again()
            await registry._upkeep.keep()
            assert host.session.degraded == "journal"
        await registry._upkeep.keep()
        assert host.session.degraded == ""
        await registry.delete(made.session_id, API, file=False)


@pytest.mark.requirement("A2")
async def test_memory_is_watched_though_the_disk_does_not_answer(tmp_path, monkeypatch):
    """Journals are to be on the disk when memory is low, but nobody waits for that for ever."""
    async with serving(tmp_path) as registry:
        registry._upkeep.stop()
        await registry.create(CreateSession())
        answers = threading.Event()
        monkeypatch.setattr("os.fsync", lambda _: answers.wait(60))
        registry._upkeep._monitor.sample = lambda: ResourceSample(0.0, 0.0, 100.0, 900.0)
        try:
            await asyncio.wait_for(registry._upkeep.look(), 30)
            assert not answers.is_set()
        finally:
            answers.set()


@pytest.mark.requirement("A2")
async def test_little_memory_frees_what_is_not_needed(tmp_path, monkeypatch):
    """Idle models go at once, the heap is given back, journals are on the disk, a person is told."""
    async with serving(tmp_path) as registry:
        registry._upkeep.stop()
        upkeep, given_back = registry._upkeep, []
        monkeypatch.setattr("rtstt_lab.server.heap.trim", lambda: given_back.append(None))
        monkeypatch.setattr("rtstt_lab.server.upkeep._TRIM_EVERY_S", math.inf)
        await registry._models.borrow("tiny.en")
        registry._models.give_back("tiny.en")
        registry._models._loaded["idle"] = type(registry._models._loaded["tiny.en"])(decoder=None)
        made = await registry.create(CreateSession())
        host = registry.host(made.session_id)
        client = Client(host)
        client.say(ClientHello(made.session_token))
        client.say(ClientControl("start", 1, 0))
        assert host.journal.unsynced
        upkeep._monitor.sample = lambda: ResourceSample(0.0, 0.0, 100.0, 900.0)
        await upkeep.look()
        assert registry._models.names == ["tiny.en"]
        assert given_back
        assert not host.journal.unsynced
        told = await client.until(lambda said: (said.get("alert") or {}).get("name") == "memory")
        assert told["alert"]["on"]
        assert host.session.phase is Phase.RECORDING
        await upkeep.look()
        assert len(given_back) == 1
        upkeep._monitor.sample = lambda: ResourceSample(0.0, 0.0, 100.0, 9_000.0)
        await upkeep.look()
        await client.until(lambda said: (said.get("alert") or {}).get("on") is False)


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

"""Sessions that nobody has open: found at the start, listed, given up after a day; and how others ended."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from rtstt_lab.engine.status import Stage
from rtstt_lab.errors import AuthenticationError, SessionNotFoundError, StorageError
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import ClientHello, CreateSession
from rtstt_lab.server.host import SessionHost
from rtstt_lab.server.past import KEPT_S, Suspended, Tombstone
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.transcript import history

from . import left
from .open_sessions import API, Client, journals, serving


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


@pytest.mark.requirement("S2")
async def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path):
    """With its name, before anything is served."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="--journal"):
        async with serving(tmp_path, journal=tmp_path / "file" / "journal"):
            pass

"""What a server does beside its sessions: journals on the disk, memory kept free, and both told."""

from __future__ import annotations

import asyncio
import errno
import math
import threading

import pytest

from rtstt_lab.engine.effects import ResourceSample
from rtstt_lab.engine.journal import PagesRecord, recover
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import ClientControl, CreateSession

from .open_sessions import API, opened, serving
from .talk import frame


@pytest.mark.requirement("E3", "R1")
async def test_a_full_disk_is_told_and_costs_nothing(small_disk, tmp_path, speech):
    """Marks stand still as long as the journal can't be written: audio stays with the client till then."""
    place, empty, full = small_disk
    async with serving(tmp_path, journal=place / "journal") as registry:
        registry._upkeep.stop()
        made, client = await opened(registry)
        host = client.host
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


@pytest.mark.requirement("E3", "R1")
async def test_an_orderly_end_writes_what_waited_for_space(small_disk, tmp_path):
    """The disk has space again, and the server ends before it has tried: the next one knows it all."""
    place, empty, full = small_disk
    async with serving(tmp_path, journal=place / "journal") as registry:
        registry._upkeep.stop()
        made, client = await opened(registry)
        host = client.host
        full()
        while not host.journal.waiting:
            host.keep(PagesRecord(()))
        client.say(ClientControl("start", 1, 0))
        client.say(ClientControl("pause", 2, 0))
        empty()
    async with serving(tmp_path, journal=place / "journal") as registry:
        assert registry.known(made.session_id).status.phase is Phase.PAUSED
        await registry.delete(made.session_id, API, file=False)


@pytest.mark.requirement("R1")
async def test_a_disk_that_fails_is_told_and_frees_no_audio(tmp_path, monkeypatch):
    """What the disk does not take is as good as not written; once it takes it, all goes on."""
    async with serving(tmp_path) as registry:
        registry._upkeep.stop()
        made, client = await opened(registry)
        host = client.host
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
        _, client = await opened(registry)
        host = client.host
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

"""What the sessions of one server share, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
from starlette.websockets import WebSocketState

from rtstt_lab.errors import LanguageError, ModelNotFoundError, OverloadedError, SessionNotFoundError
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import ClientControl, ClientHello, CreateSession, encode
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.whisper import DecoderOptions
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.outbox import MAX_WAITING_BYTES, Outbox
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.transcript import history

from .talk import frame


@pytest.mark.requirement("S2", "L5", "O3", "R1")
async def test_a_finished_session_leaves_nothing_behind(tmp_path):
    """Once a session is over audio and model state are gone at once, the rest with the next collection."""
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    await registry.start()
    made = await registry.create(CreateSession())
    host = registry.host(made.session_id)
    heavy = [weakref.ref(one) for one in (host, host.engine, host._lane.worker)]
    conversation = weakref.ref(host.session)
    gc.collect()
    gc.disable()
    try:
        del host
        await registry.delete(made.session_id, "t" * 32, file=False)
        await registry.close()
        assert [ref() for ref in heavy] == [None] * 3
    finally:
        gc.enable()
    gc.collect()
    assert conversation() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.requirement("O2", "O3", "A2")
async def test_models_are_shared_and_unloaded_when_idle():
    """A model is loaded once for all who ask; unloaded only when nobody has used it for so long."""
    now = 0.0
    pool = ModelPool(ModelStore(), DecoderOptions(workers=1), lambda: now)
    first = await pool.borrow("tiny.en")
    assert await pool.borrow("tiny.en", "en") is first
    pool.give_back("tiny.en")
    now = 100.0
    assert pool.release_idle(10) == 0
    pool.give_back("tiny.en")
    assert pool.release_idle(10) == 0
    now = 110.0
    assert pool.release_idle(10) == 1
    assert pool.names == []
    with pytest.raises(LanguageError):
        await pool.borrow("tiny.en", "es")
    with pytest.raises(ModelNotFoundError):
        await pool.borrow("no-such-model")
    assert pool.names == []


class Peer:
    """The other end of an outbox: takes what is written, as slowly as told."""

    client_state = WebSocketState.CONNECTED

    def __init__(self):
        self.reading = asyncio.Event()
        self.final = asyncio.Event()
        self.frames = []
        self.closed = None

    async def send_text(self, frame):
        await self.reading.wait()
        self.frames.append(frame)
        if "server:transcription_final" in frame:
            self.final.set()

    async def close(self, code, reason):
        self.closed = code


@pytest.mark.requirement("O3")
async def test_a_peer_that_does_not_read_is_dropped():
    """What waits for one socket is bounded; over it the socket is closed as overloaded."""
    outbox, peer = Outbox(), Peer()
    writing = asyncio.create_task(outbox.write_to(peer))
    frame = "x" * (MAX_WAITING_BYTES // 4)
    outbox.put(frame)
    await asyncio.sleep(0)
    for _ in range(6):
        outbox.put(frame)
    peer.reading.set()
    await writing
    assert peer.closed == 1013
    assert len(peer.frames) <= 2


@pytest.mark.requirement("O1")
async def test_frames_are_written_in_order_before_the_close():
    """Everything that was put before the close arrives, nothing that was put after it."""
    outbox, peer = Outbox(), Peer()
    peer.reading.set()
    for text in "abc":
        outbox.put(text)
    outbox.close(1000, "completed")
    outbox.close(4400, "later")
    outbox.put("d")
    await outbox.write_to(peer)
    assert (peer.frames, peer.closed) == (["a", "b", "c"], 1000)


@pytest.mark.requirement("R1", "E3", "D3")
async def test_what_is_final_is_saved_when_there_is_no_time_to_settle(tmp_path, speech):
    """A server that must end at once saves each session that was recording, marked incomplete."""
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    await registry.start()
    made = await registry.create(CreateSession())
    host, outbox, peer = registry.host(made.session_id), Outbox(), Peer()
    peer.reading.set()
    writing = asyncio.create_task(outbox.write_to(peer))
    link = host.link_opened(outbox)
    host.receive(encode(ClientHello(made.session_token)), link)
    host.receive(encode(ClientControl("start", 1, 0)), link)
    for seq, payload in enumerate(speech[:16]):
        host.receive(frame(seq, payload), link)
    host.receive(encode(ClientControl("pause", 2, 16)), link)
    await asyncio.wait_for(peer.final.wait(), 60)
    await registry.close()
    await writing
    (file,) = tmp_path.glob("*.txt")
    assert registry.saved_at_end == [str(file)]
    (header,) = history(tmp_path)
    assert not header.complete
    assert "laboratory" in file.read_text("utf-8")
    with pytest.raises(OverloadedError):
        await registry.create(CreateSession())


@pytest.mark.requirement("R1", "E3")
async def test_a_session_whose_file_cannot_be_made_is_over_and_keeps_its_text(tmp_path, speech, monkeypatch):
    """Whatever saving raises, the session has failed, waits no longer, and its text is kept for a day."""

    def save(*_):
        raise ValueError("no storage error")

    monkeypatch.setattr("rtstt_lab.server.transcripts.save", save)
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    await registry.start()
    made = await registry.create(CreateSession())
    host = registry.host(made.session_id)
    link = host.link_opened(Outbox())
    host.receive(encode(ClientHello(made.session_token)), link)
    host.receive(encode(ClientControl("start", 1, 0)), link)
    for seq, payload in enumerate(speech[:16]):
        host.receive(frame(seq, payload), link)
    host.receive(encode(ClientControl("stop", 2, 16)), link)
    await asyncio.wait_for(host.settled.wait(), 60)
    assert host.session.phase is Phase.FAILED
    assert "laboratory" in await registry.transcript(made.session_id, "t" * 32, "txt")
    host.engine.handle_timer(registry._clock() + 3_601)
    host.drain()
    assert registry.host(made.session_id) is None
    assert "laboratory" in await registry.transcript(made.session_id, "t" * 32, "txt")
    with pytest.raises(SessionNotFoundError):
        await registry.host_or_reopen(made.session_id)
    await registry.close()
    monkeypatch.undo()
    assert history(tmp_path) == []
    later = SessionRegistry(
        ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"),
        wall=lambda: time.time() + 86_401,
    )
    await later.start()
    await later.close()
    assert [header.session_id for header in history(tmp_path)] == [made.session_id]


@pytest.mark.requirement("M2", "E3")
async def test_a_look_at_the_machine_that_fails_is_not_the_last(tmp_path, monkeypatch):
    """The guard on memory goes on when the system's figures cannot be read for once."""
    monkeypatch.setattr("rtstt_lab.server.upkeep.EVERY_S", 0.0)
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    monitor = registry._upkeep._monitor
    sample, looks, again = monitor.sample, [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def look():
        looks.append(None)
        if len(looks) == 1:
            raise OSError("too many open files")
        loop.call_soon_threadsafe(again.set)
        return sample()

    monitor.sample = look
    await registry.start()
    await asyncio.wait_for(again.wait(), 60)
    await registry.close()
    assert len(looks) > 1

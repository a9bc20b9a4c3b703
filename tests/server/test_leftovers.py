"""What is left of finished sessions: nothing but their tombstones, however many there were."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
import weakref

import numpy as np
import psutil
import pytest
from starlette.websockets import WebSocketState
from tests.audio.media import cut, record

from rtstt_lab.analysis.drift import trend
from rtstt_lab.protocol.messages import ClientAck, ClientControl, ClientHello, CreateSession, encode
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings

from .talk import frame

PCM = "audio/pcm;rate=16000"
WEBM = "audio/webm;codecs=opus"
SESSIONS = 200
WARM_UP = 20
TOMBSTONE_BYTES = 32_000


class Peer:
    """The other end of a link in this process: tells when the session is completed."""

    client_state = WebSocketState.CONNECTED

    def __init__(self):
        self.completed = asyncio.get_running_loop().create_future()

    async def send_text(self, frame):
        message = json.loads(frame)
        if message["type"] == "server:session_completed":
            self.completed.set_result(message["event"])

    async def close(self, code, reason):
        pass


@pytest.fixture(scope="module")
def recordings(speech):
    """The same words as raw samples and as a browser records them."""
    pcm = speech[:16]
    samples = np.frombuffer(b"".join(pcm), np.int16).astype(np.float32) / 32_768
    places = np.arange(3 * len(samples)) / 3
    webm = record(WEBM, np.interp(places, np.arange(len(samples)), samples).astype(np.float32))
    return {PCM: pcm, WEBM: cut(webm, list(range(0, len(webm), 1_500)))}


async def hold(registry, mime, chunks, *, watch=()):
    """One session in this process, from its creation to its release; appends weak references to `watch`."""
    made = await registry.create(CreateSession(language="en"))
    host, outbox, peer = registry.host(made.session_id), Outbox(), Peer()
    writing = asyncio.create_task(outbox.write_to(peer))
    link = host.link_opened(outbox)
    host.receive(encode(ClientHello(made.session_token)), link)
    host.receive(encode(ClientControl("start", 1, 0)), link)
    for seq, payload in enumerate(chunks):
        host.receive(frame(seq, payload, mime=mime if seq == 0 else None), link)
    host.receive(encode(ClientControl("stop", 2, len(chunks))), link)
    worker = host._lane.worker
    heavy = (host, host.session, host.engine, worker, worker._recognizer, host._lane.worker._meter)
    for one in heavy if isinstance(watch, list) else ():
        watch.append(weakref.ref(one))
    event = await asyncio.wait_for(peer.completed, 60)
    host.receive(encode(ClientAck(event)), link)
    await writing


async def settled(condition):
    """Soon it is so: a thread that brought a session's last word holds it until its next turn."""
    async with asyncio.timeout(60):
        gc.collect()
        while not condition():
            await asyncio.sleep(0.05)
            gc.collect()


@pytest.mark.requirement("S2", "L5", "O3")
async def test_a_completed_session_is_gone(tmp_path, recordings):
    """Host, conversation, engine, worker, recognizer are freed; of its memory a tombstone's worth stays."""
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    await registry.start()
    try:
        for mime, chunks in recordings.items():
            references = []
            await hold(registry, mime, chunks, watch=references)
            assert len(references) == 6
            await settled(lambda found=references: [reference() for reference in found] == [None] * 6)
        tracemalloc.start()
        await hold(registry, PCM, recordings[PCM], watch=(references := []))
        await settled(lambda: not any(reference() for reference in references))
        before, _ = tracemalloc.get_traced_memory()
        for mime, chunks in recordings.items():
            await hold(registry, mime, chunks)
        tombstones = before + len(recordings) * TOMBSTONE_BYTES
        await settled(lambda: tracemalloc.get_traced_memory()[0] < tombstones)
        assert sum(map(len, recordings[PCM])) > len(recordings) * TOMBSTONE_BYTES  # it would show
    finally:
        tracemalloc.stop()
        await registry.close()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.requirement("L5", "E3", "O3")
async def test_many_sessions_leave_no_memory_behind(own_server, recordings):
    """The resident memory of a server grows by less than 0.1 MB a session, with 95 % confidence."""
    server = own_server("--max-new-sessions-per-min", "100000", "--max-requests-per-min", "1000000")
    process, kinds = psutil.Process(server.process.pid), list(recordings.items())
    rss_mb = []
    for number in range(WARM_UP + SESSIONS):
        mime, chunks = kinds[number % len(kinds)]
        made = server.create(language="en")
        async with server.socket(made["session_id"]) as talk:
            await talk.hello(made["session_token"])
            await talk.control("start", 0)
            for seq, payload in enumerate(chunks):
                await talk.chunk(seq, payload, mime=mime if seq == 0 else None)
            await talk.control("stop", len(chunks))
            done = await talk.until("server:session_completed")
            assert done["summary"]["words"] > 3
            await talk.send(type="client:ack", event=done["event"])
            await talk.close_code()
        rss_mb.append(process.memory_info().rss / 2**20)
    # The heap is given back every few seconds: neighbours are not independent, blocks of ten nearly are.
    levels = np.reshape(rss_mb[WARM_UP:], (-1, 10)).mean(axis=1)
    slope = trend(np.column_stack((10 * np.arange(len(levels)), levels)), np.random.default_rng(4))
    assert slope.high <= 0.1, f"{slope:.3f} MB a session: {levels.round(1).tolist()}"

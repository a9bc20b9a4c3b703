"""What was recognised can be taken out after every kind of error, at the client and at the server."""

from __future__ import annotations

import asyncio
import json
import time

import msgspec
import pytest

from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import RecognitionError, SessionNotFoundError, StorageError
from rtstt_lab.notebook import LiveDemo
from rtstt_lab.protocol.client import ClientSession, ClientSettings
from rtstt_lab.protocol.events import ErrorReceived
from rtstt_lab.protocol.lifecycle import Phase, Shown
from rtstt_lab.protocol.messages import CreateSession
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import LimitSettings, ServerSettings

from .talk import CHUNK_MS

API = "t" * 32
SAID = 16
"""Chunks that are final before anything goes wrong."""


class Wire(Outbox):
    """Hands each frame to a client at once, until it is cut."""

    def __init__(self):
        super().__init__()
        self.hear = lambda frame, now: None

    def put(self, frame):
        self.hear(frame, time.monotonic())


class Conversation:
    """A client and its session in a server, in one process."""

    def __init__(self, folder):
        limits = LimitSettings(max_session_s=SAID * CHUNK_MS // 1000 + 1)
        self.registry = SessionRegistry(
            ServerSettings(api_token=API, output=folder, model="tiny.en", limits=limits)
        )

    async def open(self):
        await self.registry.start()
        made = await self.registry.create(CreateSession())
        settings = ClientSettings(backoff_s=(), block_patience_s=0.0)
        self.client = ClientSession(made.session_id, made.session_token, settings=settings)
        self.host = self.registry.host(made.session_id)
        self.wire = Wire()
        self.link = self.host.link_opened(self.wire)
        self.wire.hear = self.client.receive_text
        self.client.connect(time.monotonic())
        self.client.link_opened(time.monotonic())
        self.flush()
        self.client.start(time.monotonic())

    def say(self, chunks):
        for payload in chunks:
            self.client.send_audio(
                payload,
                duration_ms=CHUNK_MS,
                captured_ms=0,
                stream=0,
                mime="audio/pcm;rate=16000",
                now=time.monotonic(),
            )
        self.flush()

    def press(self, button):
        getattr(self.client, button)(time.monotonic())
        self.flush()

    def flush(self):
        for frame in self.client.data_to_send(time.monotonic()):
            self.host.receive(frame, self.link)

    async def until(self, condition):
        """Waits for what other threads bring about; pings go on meanwhile."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.02)
                self.client.handle_timer(time.monotonic())
                self.flush()

    def codes(self):
        """Of the errors since the last call."""
        return [event.message.code for event in self.client.events() if isinstance(event, ErrorReceived)]


async def memory(talk, patch, more):
    """The server has no memory left: saves, and ends the session."""
    patch.setattr(talk.host._lane.worker, "feed", raises(MemoryError()))
    talk.press("resume")
    talk.say(more[:2])
    await talk.until(lambda: talk.client.phase is Phase.COMPLETED)
    return "memory_exhausted", Shown.COMPLETED


async def recognizer(talk, patch, more):
    """The recognizer fails at all that comes now, again and again."""
    error = RecognitionError("recognition_failed", start_s=0.0, reason="broken")
    patch.setattr(talk.host._lane.worker, "recognise", raises(error))
    talk.press("resume")
    talk.say(more[:2])
    talk.press("pause")
    await talk.until(lambda: talk.client.phase is Phase.COMPLETED)
    return "recognition_failed", Shown.COMPLETED


async def save(talk, patch, _more):
    """The folder of transcripts can't be written."""
    patch.setattr("rtstt_lab.server.transcripts.save", raises(StorageError("transcript_disk_full", path="x")))
    talk.press("stop")
    await talk.until(lambda: talk.client.phase is Phase.FAILED)
    return "transcript_disk_full", Shown.ERROR


async def gone(talk, _patch, _more):
    """The link is lost, nothing gets through, and the client gives up."""
    talk.host.link_lost(talk.link)
    talk.client.link_lost("reset", time.monotonic())
    talk.client.handle_timer(time.monotonic())
    assert talk.client.given_up
    return "blocks_refused", Shown.ERROR


async def deleted(talk, _patch, _more):
    """Somebody deletes the session."""
    await talk.registry.delete(talk.client.session_id, API, file=False)
    assert talk.client.given_up
    return "session_deleted", Shown.ERROR


async def limit(talk, _patch, more):
    """The session is as long as it may be."""
    talk.press("resume")
    talk.say(more)
    await talk.until(lambda: talk.client.phase is Phase.COMPLETED)
    return "session_length", Shown.COMPLETED


def raises(error):
    def fails(*_):
        raise error

    return fails


@pytest.mark.requirement("R2", "E1", "E2", "E3", "D3")
@pytest.mark.parametrize(
    "ruin", [memory, recognizer, save, gone, deleted, limit], ids=lambda ruin: ruin.__name__
)
async def test_text_can_be_exported_after(tmp_path, speech, monkeypatch, ruin):
    """The panel writes all five forms, and the server gives the text unless it was told to delete it."""
    talk = Conversation(tmp_path / "server")
    await talk.open()
    talk.say(speech[:SAID])
    talk.press("pause")
    await talk.until(lambda: talk.client.finals)
    talk.client.events()
    with monkeypatch.context() as patch:
        code, shown = await ruin(talk, patch, speech[SAID:])
        assert talk.client.shown is shown
        assert code in talk.codes()
        check_panel(talk.client, tmp_path / "panel")
        fetching = talk.registry.transcript(talk.client.session_id, API, "txt")
        if ruin is deleted:
            with pytest.raises(SessionNotFoundError):
                await fetching
        else:
            assert "laboratory" in await fetching
    await talk.registry.close()


def check_panel(client, folder):
    demo = LiveDemo("tiny.en", "en", "en", output=folder, server=LocalServer(output=folder))
    demo.capture.session_id = client.session_id
    told = {"state": client.shown, "mode": client.mode, "finals": client.finals, "latency": client.latency}
    rest = {"partial": "", "file": "", "complete": False, "audio_s": 4.0, "alerts": {}, "start": 0}
    demo.capture._handle_custom_msg(json.loads(msgspec.json.encode({"type": "mirror", **told, **rest})), [])
    try:
        for kind in ("txt", "json", "srt", "vtt", "csv"):
            assert "laboratory" in demo.export(kind).read_text("utf-8")
    finally:
        demo.close()

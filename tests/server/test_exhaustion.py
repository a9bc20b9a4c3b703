"""Memory that runs out, and calls that never return, in the real host with the real worker and threads."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from itertools import count
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from rtstt_lab.engine.patience import Patience
from rtstt_lab.errors import RecognitionError
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import ClientControl, ClientHello, ClientPing, CreateSession, encode
from rtstt_lab.server.executor import Executor
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings
from rtstt_lab.transcript import history

from .talk import frame


class Desk:
    """A registry with one session, and what its client would send."""

    def __init__(self, folder):
        self.folder = folder
        # All cores for one decode: there is one lane, and who hangs in it hangs in everybody's way.
        settings = ServerSettings(api_token="t" * 32, output=folder, model="tiny.en", threads=os.cpu_count())
        self.registry = SessionRegistry(settings)

    async def open(self):
        await self.registry.start()
        return await self.session()

    async def session(self):
        made = await self.registry.create(CreateSession())
        host = self.registry.host(made.session_id)
        link = host.link_opened(Outbox())
        host.receive(encode(ClientHello(made.session_token)), link)
        host.receive(encode(ClientControl("start", 1, 0)), link)
        return host, link

    async def heard(self, chunks):
        """A session that has a final, and records again."""
        host, link = await self.open()
        say(host, link, chunks)
        host.receive(encode(ClientControl("pause", 2, len(chunks))), link)
        await reached(lambda: final(host), (host, link))
        host.receive(encode(ClientControl("resume", 3, len(chunks))), link)
        return host, link

    def saved(self):
        return "".join(file.read_text("utf-8") for file in self.folder.glob("*.txt"))


def say(host, link, chunks, first=0):
    for seq, payload in enumerate(chunks, first):
        host.receive(frame(seq, payload), link)


async def reached(condition, *links):
    """Waits for what other threads bring about; a slow decode would outlast links that are silent."""
    async with asyncio.timeout(60):
        for look in count():
            if condition():
                return
            for host, link in links if look % 10 == 0 else ():
                host.receive(encode(ClientPing(0)), link)
            await asyncio.sleep(0.01)


async def say_until(condition, host, link, chunks, first):
    """Goes on in real time until it is so: the slower the machine, the more audio a step waits for."""
    say(host, link, chunks, first)
    async with asyncio.timeout(60):
        for look in count(1):
            if condition():
                return
            await asyncio.sleep(0.05)
            if look % 5 == 0:
                say(host, link, [chunks[look % len(chunks)]], first + len(chunks) + look // 5 - 1)


def final(host):
    return bool(host.engine.transcript().finals)


@pytest.mark.requirement("E3", "R1")
@pytest.mark.parametrize("place", ["feed", "step", "settle", "receive", "native", "save"])
async def test_wherever_memory_runs_out_the_session_is_saved_and_released(
    tmp_path, speech, monkeypatch, place
):
    """What is final by then is in the file, marked incomplete; the worker is let go; the server goes on."""
    desk = Desk(tmp_path)
    host, link = await desk.heard(speech[:16])
    worker, session = host._lane.worker, host.session

    def fails(*_):
        raise MemoryError

    def natively(*_):
        error = RuntimeError("std::bad_alloc")
        raise RecognitionError("recognition_failed", start_s=0.0, reason=error) from error

    match place:
        case "feed":
            monkeypatch.setattr(worker, "feed", fails)
        case "step":
            monkeypatch.setattr(worker, "recognise", fails)
        case "settle":
            monkeypatch.setattr(worker, "recognise", fails)
            host.receive(encode(ClientControl("pause", 4, 24)), link)
        case "receive":
            monkeypatch.setattr(session, "receive_bytes", fails)
        case "native":
            monkeypatch.setattr(worker, "recognise", natively)
        case "save":
            saving, outcomes = host._save, iter([True, False])
            monkeypatch.setattr(worker, "recognise", fails)
            monkeypatch.setattr(host, "_save", lambda text: fails() if next(outcomes) else saving(text))
    await say_until(host.settled.is_set, host, link, speech[16:24], first=16)
    assert session.phase is Phase.COMPLETED
    assert host._lane.closed
    assert "memory_exhausted" in "".join(session.events_after(0))
    assert "laboratory" in desk.saved()
    (header,) = history(tmp_path)
    assert not header.complete
    await desk.session()
    await desk.registry.close()


@pytest.mark.requirement("E3", "R1")
def test_a_server_at_its_limit_of_memory_loses_no_words(own_server, speech):
    """The words are in the file and it lives; or a native library aborts, and the journal has them."""
    server = own_server()
    made = server.create(language="en")

    async def talk_to_it():
        async with server.socket(made["session_id"]) as talk:
            await talk.hello(made["session_token"])
            await talk.control("start", 0)
            await talk.say(speech[:16])
            await talk.control("pause", 16)
            await talk.until("server:transcription_final")
            await talk.control("resume", 16)
            process = psutil.Process(server.process.pid)
            here = process.memory_info().vms
            process.rlimit(resource.RLIMIT_AS, (here, here))
            first = 16
            while not talk.of("server:session_completed"):
                payload = speech[first % len(speech)] * 12
                await talk.chunk(first, payload, duration_ms=3_000, captured_ms=250 * first)
                await talk.until("server:ack", "server:session_completed")
                first += 1
            return talk.of("server:session_completed")[0]["summary"]

    try:
        summary = asyncio.run(asyncio.wait_for(talk_to_it(), 120))
    except ConnectionClosed:
        assert server.process.wait(30) < 0, server.log.read_text("utf-8")
        after = own_server()
        text = after.rest("GET", f"/{made['session_id']}/transcript").text
    else:
        assert not summary["complete"]
        text = Path(summary["file"]).read_text("utf-8")
        assert server.rest("GET").status_code == 200
    assert "laboratory" in text


@pytest.mark.requirement("E2")
async def test_a_real_recognizer_that_fails_twice_loses_one_window(tmp_path, speech, monkeypatch):
    """The model raises: once more, then the window is skipped, said, and what follows is recognised."""
    desk = Desk(tmp_path)
    host, link = await desk.open()
    worker = host._lane.worker
    recognise, failures = worker.recognise, iter(range(2))

    def failing(job):
        if next(failures, None) is not None:
            raise RecognitionError("recognition_failed", start_s=0.0, reason="injected")
        return recognise(job)

    monkeypatch.setattr(worker, "recognise", failing)
    say(host, link, speech[:8])
    await reached(lambda: "recognition_failed" in "".join(host.session.events_after(0)), (host, link))
    say(host, link, speech[8:], first=8)
    host.receive(encode(ClientControl("stop", 2, len(speech))), link)
    await reached(host.settled.is_set, (host, link))
    assert "microphone picks up the voice" in desk.saved()
    (header,) = history(tmp_path)
    assert not header.complete
    await desk.registry.close()


@pytest.mark.requirement("E2", "O4", "R1")
async def test_one_session_that_hangs_holds_no_other_back(tmp_path, speech, monkeypatch):
    """Its decode does not return: it is said, another lane serves the others; then it returns and goes on."""
    desk = Desk(tmp_path)
    host, link = await desk.open()
    worker, release = host._lane.worker, threading.Event()
    recognise = worker.recognise

    def hanging(job):
        release.wait(120)
        return recognise(job)

    monkeypatch.setattr(worker, "recognise", hanging)
    monkeypatch.setattr(host._executor, "_patience", Patience(least_s=0.2, factor=0.0))
    say(host, link, speech[:16])
    await reached(lambda: host.session.degraded == "hanging", (host, link))
    assert host._executor.hanging == 1
    monkeypatch.setattr(host._executor, "_patience", Patience())

    other, other_link = await desk.session()
    say(other, other_link, speech[:16])
    other.receive(encode(ClientControl("stop", 2, 16)), other_link)
    await reached(other.settled.is_set, (host, link), (other, other_link))
    assert "laboratory" in desk.saved()

    release.set()
    await reached(lambda: host.session.degraded != "hanging", (host, link))
    host.receive(encode(ClientControl("stop", 2, 16)), link)
    await reached(host.settled.is_set, (host, link))
    headers = history(tmp_path)
    assert [header.complete for header in headers] == [True, True]
    await reached(lambda: host._executor.hanging == 0)
    await desk.registry.close()


@pytest.mark.requirement("E2", "E3", "R1")
async def test_a_server_ends_though_a_call_hangs(tmp_path, speech, monkeypatch):
    """A call that never returns keeps neither words from the disk nor the server from its end."""
    desk = Desk(tmp_path)
    host, link = await desk.heard(speech[:16])
    release = threading.Event()
    monkeypatch.setattr(host._lane.worker, "recognise", lambda _: release.wait(600))
    monkeypatch.setattr(host._executor, "_patience", Patience(least_s=0.2, factor=0.0))
    try:
        await say_until(lambda: host.session.degraded == "hanging", host, link, speech[16:24], first=16)
        await asyncio.wait_for(desk.registry.close(), 60)
        assert "laboratory" in desk.saved()
    finally:
        release.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.requirement("R1", "E2")
async def test_a_thread_that_died_is_replaced_and_its_work_told(monkeypatch):
    """Work whose thread is gone has failed, and the next piece finds a thread again."""
    from rtstt_lab.engine.effects import FeedHole  # noqa: PLC0415
    from rtstt_lab.server.executor import Lane  # noqa: PLC0415

    executor = Executor(1)
    outcomes, came = [], asyncio.Event()

    class Worker:
        def hole(self, work):
            return work.seq

        def close(self):
            """Holds nothing."""

    def done(_, outcome):
        outcomes.append(outcome)
        came.set()

    lane = Lane(Worker(), done)
    monkeypatch.setattr("rtstt_lab.server.executor._FEED_S", 0.2)
    monkeypatch.setattr("rtstt_lab.server.executor._perform", lambda *_: (_ for _ in ()).throw(SystemExit))
    executor.submit(lane, FeedHole(0, 10))
    await asyncio.wait_for(came.wait(), 30)
    assert isinstance(outcomes[0], RuntimeError)
    monkeypatch.undo()
    came.clear()
    executor.submit(lane, FeedHole(1, 10))
    await asyncio.wait_for(came.wait(), 30)
    assert outcomes[1] == 1
    executor.close_lane(lane)
    await executor.shutdown()

"""A session survives its server: real signals, real sockets, real speech."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import jiwer
import pytest
from tests.client.actions import after

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import AudioChunk, as_taken, pcm_chunks, real_time
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, Resumed, StateChanged, StatusReceived
from rtstt_lab.protocol.lifecycle import Link, Phase, Shown
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.transcript import history
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

CLIP_S = 11.0
"""The first two sentences of the made English sample, and the pause behind them."""
BETWEEN_SENTENCES = 16
"""Chunks of it before the second sentence."""
PATIENT = ClientSettings(backoff_s=(0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *(12.8,) * 6))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    """One that the test may kill."""
    with LocalServer(model="tiny.en", language="en", output=tmp_path / "output") as running:
        yield running


@pytest.fixture(scope="module")
def clip() -> Samples:
    return load_audio(Corpus.shipped("en")["en_laboratory"])[: round(CLIP_S * SAMPLE_RATE_HZ)]


@pytest.fixture(scope="module")
def spoken(root: Path) -> str:
    """What is said in these 11 s."""
    corpus = json.loads((root / "data/corpora/samples.json").read_text("utf-8"))["recordings"]
    text = next(entry["reference"] for entry in corpus if entry["id"] == "en_laboratory")
    return str(normalizer("en")(". ".join(text.split(". ")[:2])))


def kill(server: LocalServer) -> None:
    """As the kernel does when memory is short."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def client(server: LocalServer, *observers: Callable[[float, ClientEvent], None]) -> StreamingClient:
    return StreamingClient(server.url, token=server.token, settings=PATIENT, observers=observers)


def assert_nothing_was_lost(
    result: SessionResult, server: LocalServer, samples: Samples, spoken: str
) -> None:
    """Every sample recognised, every word once and in its place, and one whole file."""
    assert result.error is None
    assert result.ledger.lost == 0
    assert result.summary is not None
    assert result.summary.complete
    assert result.summary.duration_s == round(len(samples) / SAMPLE_RATE_HZ, 3)
    said = str(normalizer("en")(result.text))
    assert jiwer.wer(spoken, said) <= 0.1, said
    times = [(word.start_s, word.end_s) for word in result.words]
    assert all(first[1] <= second[0] + 0.1 for first, second in pairwise(times)), times
    segments = [final.segment for final in result.finals]
    assert segments == sorted(set(segments))
    (header,) = history(server.output)
    assert header.complete
    assert header.session_id == result.session_id
    text = Path(result.summary.file).read_text("utf-8")
    assert all(final.text in text for final in result.finals)


def assert_no_journal(server: LocalServer) -> None:
    """Whatever was kept of the session is gone."""
    assert not (server.output / ".rtstt_journal").exists()


@pytest.mark.requirement("R1", "L4", "S2")
async def test_killed_while_recording_and_again_while_it_goes_on(
    server: LocalServer, clip: Samples, spoken: str
) -> None:
    """In the middle of the first sentence, and of the second, when some words are committed already."""
    back = asyncio.Event()

    def observe(_: float, event: ClientEvent) -> None:
        if isinstance(event, Resumed):
            back.set()

    async def source() -> AsyncIterator[AudioChunk]:
        actions = {12: lambda: kill(server), 32: lambda: kill(server)}
        number = 0
        async for chunk in after(real_time(pcm_chunks(clip)), actions):
            if number == 31:
                await back.wait()
            yield chunk
            number += 1

    result = await client(server, observe).run(source())
    assert server.restarts == 2
    assert_nothing_was_lost(result, server, clip, spoken)
    assert_no_journal(server)


HANGING = """
import functools, pathlib, threading
from rtstt_lab.engine.worker import SessionWorker
from rtstt_lab.server import executor

def recognise(worker, job):
    try:
        pathlib.Path({sign!r}).unlink()
    except FileNotFoundError:
        return recognised(worker, job)
    threading.Event().wait()

recognised, SessionWorker.recognise = SessionWorker.recognise, recognise
executor.Patience = functools.partial(executor.Patience, least_s=4.0, factor=0.0)
executor._LOST_S = 0.5
"""


@pytest.mark.long
@pytest.mark.requirement("R1", "E2", "L4")
async def test_a_server_whose_every_lane_hangs_is_replaced(
    tmp_path: Path, clip: Samples, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one decode that it can do never returns: it ends by itself, and the next one loses no word."""
    sign = tmp_path / "sign"
    (tmp_path / "sitecustomize.py").write_text(HANGING.format(sign=str(sign)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output, lanes = tmp_path / "output", ("--max-sessions", "1")
    with LocalServer(model="tiny.en", language="en", output=output, arguments=lanes) as server:
        source = after(real_time(pcm_chunks(clip)), {BETWEEN_SENTENCES + 4: sign.touch})
        result = await client(server).run(source)
        assert not sign.exists()
        assert server.restarts >= 1
        assert any("does not answer any more" in line for line in server.messages)
        assert_nothing_was_lost(result, server, clip, spoken)


@pytest.mark.requirement("R1", "L5")
async def test_killed_while_finalizing(server: LocalServer, clip: Samples, spoken: str) -> None:
    """Stop was pressed, and the server knows it: the next one finishes, and its file is the only one.

    A session that was completed just before the kill keeps its journal a while, for its client.
    """
    killed = []

    def observe(_: float, event: ClientEvent) -> None:
        if isinstance(event, StatusReceived) and event.message.phase == "finalizing" and not killed:
            killed.append(event)
            kill(server)

    result = await client(server, observe).run(real_time(pcm_chunks(clip)))
    assert killed
    assert_nothing_was_lost(result, server, clip, spoken)


@pytest.mark.requirement("R1", "L6")
async def test_killed_while_paused_and_before_the_first_word(
    server: LocalServer, clip: Samples, spoken: str
) -> None:
    """Right after the start; and in a pause, which lasts until somebody resumes."""
    streaming: StreamingClient
    killed, paused = asyncio.Event(), asyncio.Event()

    def observe(_: float, event: ClientEvent) -> None:
        paused_with_words = streaming.session.phase is Phase.PAUSED and streaming.session.finals
        if paused_with_words and not killed.is_set():
            killed.set()
            kill(server)
        elif isinstance(event, StateChanged) and event.shown is Shown.PAUSED and killed.is_set():
            paused.set()

    async def source() -> AsyncIterator[AudioChunk]:
        number = 0
        async for chunk in after(as_taken(pcm_chunks(clip)), {1: lambda: kill(server)}):
            if number == BETWEEN_SENTENCES:
                streaming.pause()
                await paused.wait()
                streaming.resume()
            yield chunk
            number += 1

    streaming = client(server, observe)
    result = await streaming.run(source())
    assert server.restarts == 2
    assert_nothing_was_lost(result, server, clip, spoken)
    assert_no_journal(server)


@pytest.mark.long
@pytest.mark.requirement("L4")
async def test_a_server_that_stands_still_for_a_while(
    server: LocalServer, clip: Samples, spoken: str
) -> None:
    """Stopped by a signal: noticed as lost, and when it goes on after 15 s or more nothing is missing."""
    lost = asyncio.Event()

    def observe(_: float, event: ClientEvent) -> None:
        if isinstance(event, StateChanged) and event.link is Link.RECONNECTING:
            lost.set()

    async def stand_still() -> None:
        assert server.pid is not None
        began_s = asyncio.get_running_loop().time()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await asyncio.wait_for(lost.wait(), 60)
            await asyncio.sleep(began_s + 15 - asyncio.get_running_loop().time())
        finally:
            os.kill(server.pid, signal.SIGCONT)

    standing: list[asyncio.Task[None]] = []
    actions = {16: lambda: standing.append(asyncio.create_task(stand_still()))}
    result = await client(server, observe).run(after(real_time(pcm_chunks(clip)), actions))
    await standing[0]
    assert server.restarts == 0
    assert_nothing_was_lost(result, server, clip, spoken)
    assert_no_journal(server)

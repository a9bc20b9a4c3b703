"""The client against a real server: over real sockets, with a real model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.client.actions import after, once

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import AudioChunk, as_taken, pcm_chunks, real_time
from rtstt_lab.client.streaming import AHEAD_S, StreamingClient
from rtstt_lab.errors import (
    AuthenticationError,
    ConnectionFailedError,
    LanguageError,
    ModelNotFoundError,
    UsageError,
)
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, FinalReceived, PartialReceived, StateChanged
from rtstt_lab.protocol.lifecycle import Shown
from rtstt_lab.replay.faults import FaultSchedule, HalfOpen
from rtstt_lab.replay.proxy import FaultProxy
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

LAST = 44
"""Chunk of the clip."""
WORDS = "welcome to the laboratory for real time speech recognition while a person speaks the microphone"
QUICK = ClientSettings(backoff_s=(0.2, 0.4), block_patience_s=1.0)
PATIENT = ClientSettings(backoff_s=(0.2, 0.4, 0.8, 1.6, 3.2))


class States:
    """Collects the states that a person would see."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []

    def __call__(self, now: float, event: ClientEvent) -> None:
        if isinstance(event, StateChanged) and self.shown[-1:] != [event.shown]:
            self.shown.append(event.shown)


def client(server: LocalServer, **wishes: Any) -> StreamingClient:
    return StreamingClient(wishes.pop("url", server.url), token=server.token, language="en", **wishes)


def said(result: SessionResult) -> str:
    return normalizer("en")(result.text)


@pytest.fixture(scope="module")
def whole_states() -> States:
    """The states of `whole`."""
    return States()


@pytest.fixture(scope="module")
def whole(server: LocalServer, clip: Samples, whole_states: States) -> SessionResult:
    """The clip over an undisturbed link, in real time."""
    partials: list[ClientEvent] = []

    def observe(now: float, event: ClientEvent) -> None:
        if isinstance(event, PartialReceived):
            partials.append(event)

    streaming = client(server, observers=[whole_states, observe])
    return asyncio.run(streaming.run(once(real_time(pcm_chunks(clip)), {LAST: lambda: partials})))


@pytest.mark.requirement("L1", "L2", "L5")
def test_the_states_of_an_undisturbed_session(whole: SessionResult, whole_states: States) -> None:
    """A person sees the straight way through the lifecycle."""
    assert whole_states.shown == [
        Shown.CONNECTING,
        Shown.CONNECTED,
        Shown.RECORDING,
        Shown.FINALIZING,
        Shown.COMPLETED,
    ]


@pytest.mark.requirement("L2", "L3", "L5")
def test_a_clip_is_recognised_while_it_is_streamed(whole: SessionResult, clip: Samples) -> None:
    """Text, words and partials come over the WebSocket, the words after they were said and in order."""
    assert whole.error is None
    assert said(whole).startswith(WORDS)
    assert whole.partials[0].emitted_s < whole.stopped_s
    ends = [word.end_s for word in whole.words]
    assert ends == sorted(ends)
    assert all(0 < word.emitted_s - word.start_s < 30 for word in whole.words)
    assert whole.duration_s == pytest.approx(len(clip) / SAMPLE_RATE_HZ)


@pytest.mark.requirement("M1")
def test_every_chunk_of_speech_is_timed(whole: SessionResult) -> None:
    """Chunks are sent at the pace of speech, and each one before the last word was covered by a view."""
    chunks = whole.tables["chunks"]
    early = chunks["sent_s"] - (chunks["captured_s"] + chunks["duration_s"])
    assert early.min() > -0.01
    assert early.median() < 0.25
    spoken = chunks[chunks["audio_s"] + chunks["duration_s"] <= whole.words[-1].start_s]
    assert spoken["covered_s"].notna().all()
    assert (spoken["covered_s"] > spoken["sent_s"]).all()


@pytest.mark.requirement("M3")
def test_nothing_is_lost_and_the_ledger_balances(whole: SessionResult) -> None:
    """Every chunk was sent once and accepted."""
    assert whole.ledger.balanced()
    assert (
        whole.ledger.captured
        == whole.ledger.transmitted
        == whole.ledger.accepted
        == len(whole.tables["chunks"])
    )
    assert (whole.tables["chunks"]["fate"] == "accepted").all()


@pytest.mark.requirement("D3")
def test_the_server_saved_the_transcript(whole: SessionResult) -> None:
    """The file that the summary names holds the text."""
    assert whole.summary is not None
    assert all(final.text in Path(whole.summary.file).read_text("utf-8") for final in whole.finals)


@pytest.mark.requirement("L4", "E1", "R1")
async def test_a_link_that_is_cut_twice_loses_no_word(
    server: LocalServer, clip: Samples, whole: SessionResult
) -> None:
    """The transcript is the uncut one; all chunks are accepted once; the person sees Reconnecting."""
    states = States()
    short, long = FaultSchedule.cuts((0.0, 0.1)), FaultSchedule.cuts((0.0, 0.5))
    async with (
        FaultProxy("127.0.0.1", server.port, long) as near,
        FaultProxy("127.0.0.1", near.port, short) as proxy,
    ):
        streaming = client(server, url=proxy.url, observers=[states], settings=PATIENT)
        cuts = {10: lambda: proxy.begin(time.monotonic()), 26: lambda: near.begin(time.monotonic())}
        back = {
            number: lambda times=times: states.shown.count(Shown.RECORDING) > times
            for times, number in enumerate((26, LAST), 1)
        }
        result = await streaming.run(after(once(real_time(pcm_chunks(clip)), back), cuts))
    assert result.error is None
    assert said(result) == said(whole)
    assert states.shown.count(Shown.RECONNECTING) == 2
    assert states.shown[-2:] == [Shown.FINALIZING, Shown.COMPLETED]
    ledger = result.ledger
    assert ledger.balanced()
    assert (ledger.captured, ledger.lost, ledger.held) == (ledger.accepted, 0, 0)
    assert ledger.captured == whole.ledger.captured


@pytest.mark.requirement("L4")
async def test_a_link_that_falls_silent_is_noticed_and_left(server: LocalServer, clip: Samples) -> None:
    """Nothing passes and nobody is told: the client closes the socket itself, and no chunk is lost."""
    states = States()
    silent = FaultSchedule.of(HalfOpen(at_s=0.0, duration_s=2.0))
    impatient = replace(PATIENT, ping_s=0.4, silence_s=1.0, connect_timeout_s=2.0)
    async with FaultProxy("127.0.0.1", server.port, silent) as proxy:
        streaming = client(server, url=proxy.url, observers=[states], settings=impatient)
        source = real_time(pcm_chunks(clip[: 5 * SAMPLE_RATE_HZ]))
        result = await streaming.run(after(source, {6: lambda: proxy.begin(time.monotonic())}))
    assert result.error is None
    assert Shown.RECONNECTING in states.shown
    assert result.ledger.balanced()
    assert (result.ledger.captured, result.ledger.lost) == (result.ledger.accepted, 0)
    assert said(result).startswith("welcome to the laboratory")


@pytest.mark.requirement("L4", "R2")
async def test_a_link_that_stays_down_ends_in_an_error_that_keeps_the_text(
    server: LocalServer, clip: Samples
) -> None:
    """After the last retry `run` returns what was recognised, what is held, and why it ended."""
    async with FaultProxy("127.0.0.1", server.port, FaultSchedule.cuts((0.0, 1e6))) as proxy:

        def cut_after_a_final(now: float, event: ClientEvent) -> None:
            if isinstance(event, FinalReceived):
                proxy.begin(now)

        streaming = client(server, url=proxy.url, settings=QUICK, observers=[cut_after_a_final])
        first = {LAST: lambda: streaming.session.finals}
        result = await streaming.run(once(real_time(pcm_chunks(clip)), first))
    assert isinstance(result.error, ConnectionFailedError)
    assert said(result).startswith("welcome to the laboratory")
    assert result.summary is None
    assert result.ledger.balanced()


@pytest.mark.requirement("L6")
async def test_stop_ends_early_and_keeps_what_was_said(server: LocalServer, clip: Samples) -> None:
    """Stop after four seconds: what was said until then is final, and the session is complete."""
    streaming = client(server)
    source = after(as_taken(pcm_chunks(clip)), {16: streaming.stop})
    result = await streaming.run(source, ahead_s=AHEAD_S)
    assert result.error is None
    assert result.duration_s <= 4.25
    assert said(result).startswith("welcome to the laboratory")
    assert "microphone" not in said(result)


@pytest.mark.requirement("L6")
async def test_what_comes_during_a_pause_is_not_recorded(server: LocalServer, clip: Samples) -> None:
    """Between pause and resume nothing is captured; the audio clock stands still."""
    streaming = client(server)
    source = after(as_taken(pcm_chunks(clip)), {18: streaming.pause, 30: streaming.resume})
    result = await streaming.run(source, ahead_s=AHEAD_S)
    assert result.error is None
    assert result.duration_s == pytest.approx(len(clip) / SAMPLE_RATE_HZ - 12 * 0.25)
    assert [e["name"] for e in result.events if e["event"] == "control"] == [
        "start",
        "pause",
        "resume",
        "stop",
    ]


async def test_a_source_that_fails_does_so_in_the_open(server: LocalServer, clip: Samples) -> None:
    """An error of the source ends the session and is raised, not swallowed."""

    async def failing() -> AsyncIterator[AudioChunk]:
        for chunk in pcm_chunks(clip[:8_000]):
            yield chunk
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        await client(server).run(failing())


async def test_an_observer_that_fails_does_so_in_the_open(server: LocalServer, clip: Samples) -> None:
    """A pipe that an observer writes to is closed: that is raised, and not taken for a lost link."""
    states = States()

    def writing(now: float, event: ClientEvent) -> None:
        if isinstance(event, FinalReceived):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await client(server, observers=[states, writing]).run(as_taken(pcm_chunks(clip)))
    assert Shown.RECONNECTING not in states.shown


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        ({"token": "no" * 20}, AuthenticationError),
        ({"language": "xx"}, LanguageError),
        ({"model": "nonsense"}, ModelNotFoundError),
        ({"url": "http://127.0.0.1:1"}, ConnectionFailedError),
        ({"url": "http://127.0.0.1:99999"}, UsageError),
        ({"url": "http://[::1"}, UsageError),
    ],
)
async def test_a_session_that_cannot_be_made_is_refused(
    server: LocalServer, clip: Samples, wishes: dict[str, str], kind: type[Exception]
) -> None:
    """Wrong token, language, model or address: the exception says which, and the source is not touched."""
    source = as_taken(pcm_chunks(clip))
    streaming = StreamingClient(**{"url": server.url, "token": server.token, **wishes})
    with pytest.raises(kind):
        await streaming.run(source)
    assert (await anext(source)).mime is not None

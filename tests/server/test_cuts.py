"""A server is killed at random chunks: nothing is lost, nothing said twice, times stay true."""

from __future__ import annotations

import asyncio
import difflib
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from tests.audio.media import cut, record

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import AudioChunk, pcm_chunks, real_time
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, Resumed
from rtstt_lab.replay.corpus import Corpus, load_audio

KINDS = ("audio/pcm;rate=16000", "audio/webm;codecs=opus", "audio/ogg;codecs=opus")
SEEDS = (1, 2, 3, 4)
KILLS = 5
MOST_SAID_AWAY = 20
"""Chunks; then the recorder waits for its server, so that a slow machine's is killed as often."""
CHUNK_MS = 250
PATIENT = ClientSettings(backoff_s=(0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *(12.8,) * 6))


def chunks_of(mime: str) -> list[AudioChunk]:
    """The made English sample as one recorder would have sent it."""
    samples = load_audio(Corpus.shipped("en")["en_laboratory"])
    if mime == KINDS[0]:
        return list(pcm_chunks(samples, chunk_ms=CHUNK_MS))
    places = np.arange(3 * len(samples)) / 3
    data = record(mime, np.interp(places, np.arange(len(samples)), samples).astype(np.float32))
    count = round(len(samples) / 16 / CHUNK_MS)
    size = -(-len(data) // count)
    payloads = cut(data, list(range(0, len(data), size)))
    return [AudioChunk(payload, CHUNK_MS, mime if n == 0 else None) for n, payload in enumerate(payloads)]


@dataclass
class Killer:
    """Kills a server at a random chunk, and again when its client has been back for a random while."""

    server: LocalServer
    chance: random.Random
    wait: int = 0
    killed: list[int] = field(default_factory=list)
    there: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.wait = self.chance.randint(4, 24)
        self.there.set()

    def back(self, _: float, event: ClientEvent) -> None:
        if isinstance(event, Resumed) and not self.there.is_set():
            self.wait = self.chance.randint(1, 12)
            self.there.set()

    async def among(self, chunks: AsyncIterator[AudioChunk]) -> AsyncIterator[AudioChunk]:
        number = 0
        async for chunk in chunks:
            if not self.there.is_set() and number - self.killed[-1] >= MOST_SAID_AWAY:
                await self.there.wait()
            yield chunk
            number += 1
            self.wait -= 1
            if self.wait == 0 and len(self.killed) < KILLS and self.server.pid is not None:
                os.kill(self.server.pid, signal.SIGKILL)
                self.there.clear()
                self.killed.append(number)


def words_of(result: SessionResult) -> list[tuple[str, float]]:
    """Each word as one writes it for comparison, with its beginning."""
    plain = normalizer("en")
    return [(str(plain(word.word)), word.start_s) for word in result.words if str(plain(word.word))]


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory):
    """What a server hears that nobody kills, by kind of recorder."""
    results: dict[str, SessionResult] = {}

    async def hear(mime: str) -> SessionResult:
        if mime not in results:
            output = tmp_path_factory.mktemp("uncut")
            async with LocalServer(model="tiny.en", language="en", output=output) as server:
                client = StreamingClient(server.url, token=server.token)
                results[mime] = await client.run(real_time(chunks_of(mime)))
        return results[mime]

    return hear


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.requirement("R1", "L4", "S2")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mime", KINDS)
async def test_cut_at_random_chunks(mime: str, seed: int, tmp_path: Path, uncut) -> None:
    """Five kills a recording: all samples are heard, no two words in a row are missing or there twice."""
    whole = await uncut(mime)
    async with LocalServer(model="tiny.en", language="en", output=tmp_path) as server:
        killer = Killer(server, random.Random(f"{mime} {seed}"))  # noqa: S311 - no secret
        client = StreamingClient(server.url, token=server.token, settings=PATIENT, observers=[killer.back])
        result = await client.run(killer.among(real_time(chunks_of(mime))))
        restarts = server.restarts
    assert restarts == len(killer.killed) == KILLS
    assert result.error is None
    assert result.summary is not None
    assert whole.summary is not None
    assert result.summary.complete
    assert result.ledger.lost == 0
    slack_s = 0.0 if mime == KINDS[0] else 0.01 * restarts  # a fresh decoder begins between two samples
    assert abs(result.summary.duration_s - whole.summary.duration_s) <= slack_s
    assert not (tmp_path / ".rtstt_journal").exists()

    truth, heard = words_of(whole), words_of(result)
    matcher = difflib.SequenceMatcher(None, [w for w, _ in truth], [w for w, _ in heard], autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "delete":
            assert last - first < 2, ("lost", truth[first:last], killer.killed)
        elif kind == "insert":
            assert end - begin < 2, ("repeated", heard[begin:end], killer.killed)
    shifts = [
        heard[block.b + n][1] - truth[block.a + n][1]
        for block in matcher.get_matching_blocks()
        for n in range(block.size)
    ]
    assert len(shifts) >= 0.85 * len(truth), (truth, heard)
    assert abs(median(shifts)) <= 0.02
    assert np.percentile(np.abs(shifts), 90) <= 0.1, sorted(shifts)
    assert [start for _, start in heard] == sorted(start for _, start in heard)

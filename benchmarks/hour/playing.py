"""Speech for longer than a session may last, through a server and its WebSocket, until the session ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import AudioChunk, pcm_chunks, real_time
from rtstt_lab.errors import UsageError
from rtstt_lab.lab.bench.meters import tree_rss_mb
from rtstt_lab.protocol.events import ClientEvent, ErrorReceived, StatusReceived
from rtstt_lab.protocol.messages import Alert, ServerError, Status
from rtstt_lab.recognition.models import LocalModel
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio
from rtstt_lab.replay.realtime import Pace, replay_in_real_time
from rtstt_lab.types import SAMPLE_RATE_HZ

LIMIT_S: Final = 3600
"""The longest session that a server allows."""

_BEYOND_S: Final = 60
"""So much more is at hand than the session may record: it has to end by itself."""
_SAMPLE_EVERY_S: Final = 5.0
_BYTES_PER_S: Final = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played.

    Attributes:
        corpus: speech of one language.
        model: of the server.
        language: of the session.
        limit_s: of the session; 10 to `LIMIT_S`.
        pace: of the recordings.
        ahead_s: see `StreamingClient.run`; for a pace that is not real time.
    """

    corpus: Corpus
    model: LocalModel
    language: str = "en"
    limit_s: int = LIMIT_S
    pace: Pace = real_time
    ahead_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Turn:
    """A recording and where it lies on the session's audio clock."""

    recording: Recording
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The server from outside.

    Attributes:
        at_s: on the client's clock.
        rss_mb: resident memory of its process tree.
    """

    at_s: float
    rss_mb: float


@dataclass(frozen=True)
class Played:
    """A session from its first chunk to its end.

    Attributes:
        result: as the client has it.
        turns: what was played, the last one cut off by the session's end.
        samples: one every few seconds.
        warned_s: when the coming end was announced, on the client's clock; ``None``: never.
        ended_s: when the error came that says why it ended; ``None``: none came.
        ended_by: the key of that error.
        saved: the transcripts in the server's output folder, by name.
        restarts: how often the server died.
    """

    result: SessionResult
    turns: Sequence[Turn]
    samples: Sequence[Sample]
    warned_s: float | None
    ended_s: float | None
    ended_by: str | None
    saved: Mapping[str, str]
    restarts: int


class _Announcements:
    """What the server says about the session's end; times are of the monotonic clock."""

    def __init__(self) -> None:
        self.warned_s: float | None = None
        self.ended: tuple[float, ServerError] | None = None

    def __call__(self, now: float, event: ClientEvent) -> None:
        match event:
            case StatusReceived(Status(alert=Alert(name="length", on=True))):
                self.warned_s = now
            case ErrorReceived(ServerError(seq=None) as error):  # of the session, not of a chunk
                self.ended = now, error


def play(plan: Plan) -> Played:
    """Streams to a server of its own until the session is over.

    Raises:
        ServiceError: the server cannot be started, or makes no session.
    """
    return asyncio.run(_play(plan))


async def _play(plan: Plan) -> Played:
    turns, chunks = _programme(plan.corpus, plan.limit_s + _BEYOND_S)
    heard, samples = _Announcements(), list[Sample]()
    with TemporaryDirectory(prefix="rtstt-bench-") as name:
        output = Path(name)
        server = LocalServer(
            model=plan.model.name, output=output, arguments=("--max-session-s", str(plan.limit_s))
        )
        async with server:
            watching = asyncio.create_task(_watch(server, samples))
            replayed = await replay_in_real_time(
                chunks,
                server.url,
                pace=plan.pace,
                ahead_s=plan.ahead_s,
                token=server.token,
                language=plan.language,
                observers=[heard],
            )
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        saved = {path.name: path.read_text("utf-8") for path in sorted(output.glob("*.txt"))}  # noqa: ASYNC240 - all is over
    result = replayed.result
    origin_s = result.started_monotonic_s
    return Played(
        result=result,
        turns=[turn for turn in turns if turn.start_s < result.duration_s],
        samples=[replace(sample, at_s=sample.at_s - origin_s) for sample in samples],
        warned_s=None if heard.warned_s is None else heard.warned_s - origin_s,
        ended_s=heard.ended[0] - origin_s if heard.ended else None,
        ended_by=heard.ended[1].code if heard.ended else None,
        saved=saved,
        restarts=server.restarts,
    )


def _programme(corpus: Corpus, until_s: float) -> tuple[list[Turn], list[AudioChunk]]:
    """The recordings in turns, as one recorder's chunks."""
    audio = [(recording, list(pcm_chunks(load_audio(recording)))) for recording in corpus]
    turns: list[Turn] = []
    chunks: list[AudioChunk] = []
    end_s = 0.0
    for recording, own in cycle(audio):
        chunks += own if not chunks else [replace(chunk, mime=None) for chunk in own]
        start_s, end_s = end_s, end_s + sum(len(chunk.payload) for chunk in own) / _BYTES_PER_S
        turns.append(Turn(recording, start_s, end_s))
        if end_s >= until_s:
            return turns, chunks
    raise UsageError("bench_nothing")


async def _watch(server: LocalServer, samples: list[Sample]) -> None:
    while True:
        samples.append(Sample(time.monotonic(), tree_rss_mb(server.pid)))
        await asyncio.sleep(_SAMPLE_EVERY_S)

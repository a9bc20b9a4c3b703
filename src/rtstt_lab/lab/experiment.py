"""One experiment: a corpus replayed under one set of conditions; each recording is a run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, TypeAlias

from rtstt_lab.analysis.runs import Run, Runs
from rtstt_lab.client.sources import CHUNK_MS, AudioChunk, pcm_chunks
from rtstt_lab.errors import StorageError, UsageError
from rtstt_lab.lab.keeping import Conditions, keep
from rtstt_lab.lab.service import LocalSettings, Service, local_service
from rtstt_lab.lab.signature import policy_of
from rtstt_lab.protocol.events import AckReceived, ClientEvent
from rtstt_lab.recognition.models import LocalModel, ModelStore
from rtstt_lab.recognition.streaming import RecognizerSettings, StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.machine import Cost, Measured
from rtstt_lab.replay.realtime import replay_in_real_time
from rtstt_lab.replay.virtual import Replayed, replay_virtually
from rtstt_lab.types import Samples

Clock: TypeAlias = Literal["virtual", "real-time"]
Progress: TypeAlias = Callable[[float, float, str], None]
"""Told (seconds of audio done, in all, what is being replayed)."""

VIRTUAL: Final = "virtual"
STREAMING: Final = "streaming"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is replayed, and how. Virtual ones pickle, so that sweeps can run on any executor.

    Attributes:
        corpus: the recordings.
        model: name or folder.
        settings: of the recognizer; a real-time experiment runs the server's own, the defaults.
        chunk_ms: of audio in each chunk.
        faults: what the link suffers.
        seed: of the link's jitter.
        clock: ``virtual`` waits for nothing; ``real-time`` goes through a server and sockets at the pace of
            speech.
        cost: what work costs in virtual time; by default what it takes here.
        name: begins the ids of its runs.
        folder: where the runs are kept, one folder each; ``None`` keeps them in memory only.
    """

    corpus: Corpus
    model: str = "base"
    settings: RecognizerSettings = field(default_factory=RecognizerSettings)
    chunk_ms: int = CHUNK_MS
    faults: FaultSchedule = field(default_factory=FaultSchedule)
    seed: int = 0
    clock: Clock = "virtual"
    cost: Cost = field(default_factory=Measured)
    name: str = ""
    folder: Path | None = None

    def run(self, *, progress: Progress | None = None, executor: Executor | None = None) -> Runs:
        """Replays every recording.

        Args:
            progress: told as the audio goes by.
            executor: replays recordings side by side; virtual experiments only. CPU is then measured under
                that load.

        Raises:
            RtsttError: a recording or model that cannot be had; a run that exists; a server that cannot be
                started.
        """
        self._check_room()
        meter = _Meter(self.corpus, progress)
        if self.clock != VIRTUAL:
            if self.settings != RecognizerSettings() or executor is not None:
                raise UsageError("experiment_real_time")
            # A notebook's own event loop is running; this one gets a thread of its own.
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, self._in_real_time(meter)).result()
        if executor is None:
            return Runs(self.replay(recording, meter) for recording in self.corpus)
        futures = [executor.submit(self.replay, recording) for recording in self.corpus]
        for recording, future in zip(self.corpus, futures, strict=True):
            future.add_done_callback(lambda _, recording=recording: meter.finished(recording))  # type: ignore[misc]
        return Runs(future.result() for future in futures)

    def replay(self, recording: Recording, meter: _Meter | None = None) -> Run:
        """Replays one recording in virtual time."""
        decoder, samples = warm_decoder(self.model), load_audio(recording)
        replayed = replay_virtually(
            self._chunks(samples),
            lambda clock, start: StreamingRecognizer(
                decoder, settings=self.settings, language=recording.language, start=start, clock=clock
            ),
            model=self.model,
            language=recording.language,
            started_at=datetime.now(UTC),
            faults=self.faults,
            cost=self.cost,
            seed=self.seed,
            observers=[meter.watching(recording, self.chunk_ms)] if meter else (),
        )
        return self._keep(recording, samples, replayed, decoder.model)

    async def _in_real_time(self, meter: _Meter) -> Runs:
        model = await asyncio.to_thread(ModelStore().resolve, self.model)
        with TemporaryDirectory() as output:
            async with local_service(LocalSettings(self.model, Path(output))) as service:
                return Runs([await self._stream(each, service, model, meter) for each in self.corpus])

    async def _stream(self, recording: Recording, service: Service, model: LocalModel, meter: _Meter) -> Run:
        samples = await asyncio.to_thread(load_audio, recording)
        replayed = await replay_in_real_time(
            self._chunks(samples),
            service.url,
            token=service.token,
            language=recording.language,
            faults=self.faults,
            seed=self.seed,
            process_cpu_s=service.process_cpu_s,
            observers=[meter.watching(recording, self.chunk_ms)],
        )
        return await asyncio.to_thread(self._keep, recording, samples, replayed, model)

    def _chunks(self, samples: Samples) -> Sequence[AudioChunk]:
        return list(pcm_chunks(samples, chunk_ms=self.chunk_ms))

    def _check_room(self) -> None:
        """Refuses before the work what could not be kept after it."""
        model = LocalModel(self.model, Path(), "", english_only=False)
        for recording in self.corpus:
            if self.folder and (path := self.folder / self._conditions(model).run_id(recording)).exists():
                raise StorageError("run_write", path=str(path), reason="File exists")

    def _keep(self, recording: Recording, samples: Samples, replayed: Replayed, model: LocalModel) -> Run:
        return keep(recording, samples, replayed, self._conditions(model), self.folder)

    def _conditions(self, model: LocalModel) -> Conditions:
        return Conditions(
            name=self.name,
            mode=STREAMING,
            model=self.model,
            model_sha256=model.sha256,
            policy=policy_of(self.settings),
            chunk_ms=self.chunk_ms,
            faults=self.faults,
            clock=self.clock,
            seed=self.seed,
        )


class _Meter:
    """Adds up how much audio has gone by."""

    def __init__(self, corpus: Corpus, progress: Progress | None) -> None:
        self._total_s = math.fsum(recording.duration_s for recording in corpus)
        self._done_s: dict[str, float] = {}
        self._progress = progress

    def watching(self, recording: Recording, chunk_ms: int) -> Callable[[float, ClientEvent], None]:
        """An observer of one session."""

        def observe(_now: float, event: ClientEvent) -> None:
            if isinstance(event, AckReceived):
                self._tell(recording, min(event.message.next_seq * chunk_ms / 1000, recording.duration_s))

        return observe

    def finished(self, recording: Recording) -> None:
        """One recording is through."""
        self._tell(recording, recording.duration_s)

    def _tell(self, recording: Recording, done_s: float) -> None:
        self._done_s[recording.id] = done_s
        if self._progress:
            self._progress(math.fsum(self._done_s.values()), self._total_s, recording.id)


@lru_cache(maxsize=4)
def warm_decoder(model: str) -> WhisperDecoder:
    """A warm model, kept for the next recording and experiment of this process."""
    decoder = WhisperDecoder.load(ModelStore().resolve(model))
    decoder.warm_up()
    return decoder

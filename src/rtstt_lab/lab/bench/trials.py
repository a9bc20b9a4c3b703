"""Runs the sessions of a campaign on real sockets, and writes down what became of each fault."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtstt_lab.client.api import SessionApi
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.errors import RtsttError
from rtstt_lab.lab.bench.campaign import RESUME, Attempt, Trial
from rtstt_lab.lab.bench.mortal import MortalServer
from rtstt_lab.protocol.events import (
    AckReceived,
    ClientEvent,
    Completed,
    FinalReceived,
    MetricsReceived,
    OpenLink,
    PartialReceived,
    Resumed,
    StatusReceived,
)
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.replay.faults import Duplicated
from rtstt_lab.replay.realtime import replay_in_real_time
from rtstt_lab.replay.speech import holds_speech
from rtstt_lab.replay.tampering import Happened
from rtstt_lab.types import SAMPLE_RATE_HZ, Word

_BYTES_PER_SAMPLE: Final = 2
_PATIENCE_S: Final = 180.0
"""Beyond its audio, after which a session counts as one that does not end."""
_JUST_NOW_S: Final = 0.2
"""After a resumption: what it brought may still be on its way."""
_FROM_SERVER: Final = (PartialReceived, FinalReceived, StatusReceived, MetricsReceived)


@dataclass(frozen=True, slots=True)
class Suffered:
    """What became of one attempt.

    Attributes:
        attempt: as drawn up.
        happened: it met its session: a connection was broken, bytes were held back, chunks were spoilt, the
            process was hit; where a resumption is to be hit, one was going on.
        in_speech: somebody was speaking when it began.
        began_s: in fact, on the schedule's clock.
        ended_s: in fact.
        answered_s: from its end to the server's first message; NaN if none came.
        recovered_s: from its end until the server had all that had been recorded by then; NaN if it never
            had.
    """

    attempt: Attempt
    happened: bool
    in_speech: bool
    began_s: float
    ended_s: float
    answered_s: float
    recovered_s: float


@dataclass(frozen=True, slots=True)
class LostChunk:
    """A chunk that the server never took: where its audio lies."""

    seq: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One session of the campaign.

    Attributes:
        trial: as drawn up.
        words: final ones, in the order of time.
        text: all of them.
        captured_samples: of the recording, as far as it was played.
        recognised_samples: by the server's audio clock; ``None`` where it could not be asked.
        ledger: of the client; ``None`` if there was no session.
        extra: transmissions that the campaign put in by itself.
        lost: chunks that were not recognised.
        suffered: one an attempt.
        error: what ended the session before its time; empty if it is complete.
    """

    trial: Trial
    words: tuple[Word, ...] = ()
    text: str = ""
    captured_samples: int = 0
    recognised_samples: int | None = None
    ledger: Ledger | None = None
    extra: int = 0
    lost: tuple[LostChunk, ...] = ()
    suffered: tuple[Suffered, ...] = ()
    error: str = ""

    @property
    def exact(self) -> bool:
        """Every chunk was recognised, and the audio clock counts exactly their samples."""
        ledger = self.ledger
        if ledger is None or ledger.captured != ledger.accepted or ledger.lost or ledger.held:
            return False
        return self.recognised_samples == self.captured_samples

    @property
    def balanced(self) -> bool:
        """Every transmission is accounted for, those that the campaign put in included."""
        ledger = self.ledger
        return ledger is not None and ledger.cut + self.extra >= 0


async def undergo(
    trial: Trial, chunks: Sequence[AudioChunk], speech_s: NDArray[np.float64], server: MortalServer
) -> Outcome:
    """Plays one session to its end, whatever happens in it.

    Args:
        trial: what is played, and what happens.
        chunks: of the recording.
        speech_s: where somebody speaks in it: shape ``(n, 2)``.
        server: that it happens to; runs afterwards.

    Raises:
        ServiceError: the server could not be started again.
    """
    timeline = _Timeline()
    played_s = sum(chunk.duration_ms for chunk in chunks) / 1000
    try:
        async with asyncio.timeout(played_s + _PATIENCE_S):
            replayed = await replay_in_real_time(
                chunks,
                server.url,
                token=server.token,
                language=trial.recording.language,
                faults=trial.schedule,
                seed=trial.seed,
                process=server,
                observers=[timeline.observe],
            )
    except (RtsttError, TimeoutError) as error:
        await server.ensure()
        return Outcome(trial, error=str(error) or "timeout", suffered=tuple(map(_missed, trial.attempts)))
    await server.ensure()
    result = replayed.result
    timeline.settle(result)
    return Outcome(
        trial,
        words=tuple(word for final in result.finals for word in final.words),
        text=result.text,
        captured_samples=int(result.tables["chunks"]["bytes"].sum()) // _BYTES_PER_SAMPLE,
        recognised_samples=await _recognised_samples(server, result.session_id),
        ledger=result.ledger,
        extra=sum(_extra(happened) for happened in replayed.happened),
        lost=_lost(result),
        suffered=tuple(timeline.suffered(attempt, replayed.happened, speech_s) for attempt in trial.attempts),
        error=str(result.error or ""),
    )


@dataclass
class _Timeline:
    """What the client heard, and when; times of the client's clock until `settle`."""

    heard: list[tuple[float, float]] = field(default_factory=list)
    opening: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    captured_s: list[float] = field(default_factory=list)
    over_s: float = math.inf
    _next_seq: float = 0

    def observe(self, now: float, event: ClientEvent) -> None:
        match event:
            case OpenLink():
                self.opening.append(now)
                return
            case AckReceived(message):
                self._next_seq = message.next_seq
            case Resumed(next_seq=next_seq):
                self._next_seq = next_seq
                self.resumed.append(now)
            case Completed():
                self._next_seq = math.inf
                self.over_s = now
            case _ if not isinstance(event, _FROM_SERVER):
                return
        self.heard.append((now, self._next_seq))

    def settle(self, result: SessionResult) -> None:
        """From the client's clock to the schedule's."""
        origin_s = result.started_monotonic_s
        self.heard = [(now - origin_s, next_seq) for now, next_seq in self.heard]
        self.opening = [now - origin_s for now in self.opening]
        self.resumed = [now - origin_s for now in self.resumed]
        self.over_s -= origin_s
        chunks = result.tables["chunks"]
        self.captured_s = sorted(chunks["captured_s"] + chunks["duration_s"])
        if result.error is not None and self.heard:
            self.over_s = min(self.over_s, self.heard[-1][0])

    def suffered(
        self, attempt: Attempt, happened: Sequence[Happened], speech_s: NDArray[np.float64]
    ) -> Suffered:
        """What became of an attempt."""
        own = [each for each in happened if each.fault in attempt.all_faults]
        if not any(each.fault == attempt.all_faults[-1] for each in own):
            return _missed(attempt)
        began_s, ended_s = min(each.began_s for each in own), max(each.ended_s for each in own)
        wanted = bisect_right(self.captured_s, ended_s)
        after = [(now, next_seq) for now, next_seq in self.heard if now > ended_s]
        return Suffered(
            attempt,
            happened=began_s < self.over_s and (attempt.kind != RESUME or self._resuming(own)),
            in_speech=holds_speech(began_s, 0.0, speech_s),
            began_s=began_s,
            ended_s=ended_s,
            answered_s=_first(now for now, _ in after) - ended_s,
            recovered_s=_first(now for now, next_seq in after if next_seq >= wanted) - ended_s,
        )

    def _resuming(self, happened: Sequence[Happened]) -> bool:
        """Whether the client was coming back when it was cut off again."""
        first_s, again_s = (each(fault.began_s for fault in happened) for each in (min, max))
        asked_s = [now for now in self.opening if first_s < now < again_s]
        done_s = [now for now in self.resumed if first_s < now < again_s - _JUST_NOW_S]
        return bool(asked_s) and not done_s


def _first(times_s: Iterable[float]) -> float:
    return next(iter(times_s), math.nan)


async def _recognised_samples(server: MortalServer, session_id: str) -> int | None:
    try:
        async with SessionApi(server.url, server.token) as api:
            status = await api.status(session_id)
    except RtsttError:
        return None
    return round(float(status["audio_s"]) * SAMPLE_RATE_HZ)


def _extra(happened: Happened) -> int:
    return happened.fault.chunks if isinstance(happened.fault, Duplicated) else 0


def _lost(result: SessionResult) -> tuple[LostChunk, ...]:
    chunks = result.tables["chunks"]
    lost = chunks.loc[chunks["fate"] != "accepted", ["seq", "audio_s", "duration_s"]]
    return tuple(
        LostChunk(int(seq), start_s, start_s + duration_s)
        for seq, start_s, duration_s in lost.itertuples(index=False)
    )


def _missed(attempt: Attempt) -> Suffered:
    nan = math.nan
    return Suffered(
        attempt,
        happened=False,
        in_speech=False,
        began_s=nan,
        ended_s=nan,
        answered_s=nan,
        recovered_s=nan,
    )

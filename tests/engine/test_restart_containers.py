"""Containers whose servers die at any time, with links that break: every moment keeps its place."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from tests.audio.media import RATE_HZ, cut, record
from tests.engine.world import World

from rtstt_lab.engine import SessionWorker
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.recognition.settings import RecognizerStart
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Partial, Samples, Word

SECONDS = 40.25
FIRST_HZ, RISE_HZ = 300.0, 120.0
WORD_S, HOLD_S = 0.5, 1.0
EDGE_S = 0.1
"""Codecs smear; what is looked at lies as far from a word's ends."""
RARELY = {"cluster_time_limit": "60000", "page_duration": "1000000"}
"""Clusters as long as browsers may write them, pages of a second: few places to start from."""


def tone() -> Samples:
    """A tone that rises evenly, shape ``(n,)`` at 48 kHz: it tells the time."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    return (0.4 * np.sin(2 * np.pi * (FIRST_HZ * time_s + RISE_HZ / 2 * time_s**2))).astype(np.float32)


def told_s(piece: Samples) -> float:
    """The time that the middle of a piece of the tone tells."""
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 8 * len(piece)))
    return (int(np.argmax(spectrum)) * SAMPLE_RATE_HZ / (8 * len(piece)) - FIRST_HZ) / RISE_HZ


class Listener:
    """Hears the time: a word every half second, named for it; promised a second later.

    Attributes:
        off_s: how far the clock was off at each word.
    """

    slowed = False
    language = "en"

    def __init__(self, off_s: list[float], start: RecognizerStart | None = None) -> None:
        start = start or RecognizerStart()
        self.off_s = off_s
        self.settled_s = self._decoded_s = start.start_s
        self.wants_final = False
        self._from_s = start.audio_from_s
        self._segment, self._revision = start.first_segment, 0
        self._audio = np.zeros(0, np.float32)
        self._open: list[Word] = []

    @property
    def heard_s(self) -> float:
        return self._from_s + len(self._audio) / SAMPLE_RATE_HZ

    @property
    def pending_s(self) -> float:
        return max(0.0, self.heard_s - self._decoded_s)

    @property
    def wants_step(self) -> bool:
        return self.wants_final or self.pending_s >= WORD_S

    def accept_audio(self, samples: Samples) -> None:
        self._audio = np.concatenate([self._audio, samples])

    def end_utterance(self) -> None:
        self.wants_final = True

    def step(self) -> list[Partial | Final]:
        final, self.wants_final = self.wants_final, False
        self._decoded_s = self.heard_s
        said = [self._word(n) for n in range(round(self.settled_s / WORD_S), int(self.heard_s / WORD_S))]
        sure = [word for word in said if final or word.end_s <= self.heard_s - HOLD_S]
        self._open += sure
        self.settled_s = self.heard_s if final else sure[-1].end_s if sure else self.settled_s
        if self._open and (final or len(self._open) > 8):
            words, self._open = tuple(self._open), []
            self._segment, self._revision = self._segment + 1, 0
            return [Final(self._segment - 1, words, self.heard_s, self.language)]
        self._revision += 1
        words = (*self._open, *said[len(sure) :])
        return [Partial(self._segment, self._revision, words, len(self._open), self.heard_s)]

    def _word(self, number: int) -> Word:
        first_s, last_s = number * WORD_S + EDGE_S, (number + 1) * WORD_S - EDGE_S
        first, last = (round((at_s - self._from_s) * SAMPLE_RATE_HZ) for at_s in (first_s, last_s))
        at_s = told_s(self._audio[first:last])
        self.off_s.append(at_s - (first_s + last_s) / 2)
        return Word(f" w{int(at_s / WORD_S)}", number * WORD_S, (number + 1) * WORD_S, 0.9)


def disturb(world: World, chance: random.Random, away: int) -> int:
    """After a chunk something may happen; for so many more chunks no server can be reached."""
    what = chance.random()
    if away == 1:
        world.reachable = True
    elif what < 0.04:
        world.kill()
    elif what < 0.06:
        world.dies_after = chance.randrange(40)
    elif what < 0.09:
        world.cut()
    elif what < 0.11 and not away:
        (world.kill if chance.random() < 0.6 else world.cut)()
        world.reachable = False
        return chance.randint(2, 110)
    return max(0, away - 1)


@pytest.mark.requirement("E4", "L4", "R1")
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 30), marks=pytest.mark.long)], ids=len)
@pytest.mark.parametrize("muxing", [{}, RARELY], ids=["often", "rarely"])
@pytest.mark.parametrize("mime", ["audio/webm;codecs=opus", "audio/ogg;codecs=opus"])
def test_every_moment_keeps_its_place(mime: str, muxing: dict[str, str], seeds: range) -> None:
    """Kills, cuts, and outages of half a minute at random: each half second is said once, in its place."""
    option = "cluster_time_limit" if "webm" in mime else "page_duration"
    data = record(mime, tone(), **{name: value for name, value in muxing.items() if name == option})
    size = -(-len(data) // round(4 * SECONDS))
    chunks = cut(data, list(range(0, len(data), size)))
    for seed in seeds:
        chance, off_s = random.Random(seed), []  # noqa: S311 - no secret
        world = listened_to(off_s, decode_s=chance.choice([0.0, 0.1, 0.6, 1.5]))
        away = 0
        for chunk in chunks:
            world.send(chunk, 250, mime)
            away = disturb(world, chance, away)
        world.reachable = True
        world.control("stop")
        world.pass_time(120)
        world.worker.close()
        (saved,) = world.saved
        words = [word.text for final in saved.finals for word in final.words]
        assert words == [f" w{n}" for n in range(int(SECONDS / WORD_S))], seed
        assert max(map(abs, off_s)) < 0.02, seed
        assert saved.complete
        assert world.client.ledger.lost == 0


def listened_to(off_s: list[float], decode_s: float) -> World:
    """A session that has begun, on a server whose recognizer hears the time, and those that follow it."""

    def taken_up(state: SessionState) -> SessionWorker:
        ear = Listener(off_s, state.recognizer)
        return SessionWorker(ear, cpu_clock=time.process_time, start=state.worker)  # type: ignore[arg-type]

    fresh = SessionWorker(Listener(off_s), cpu_clock=time.process_time)  # type: ignore[arg-type]
    world = World(fresh, decode_s=decode_s, new_worker=taken_up)
    world.start()
    return world

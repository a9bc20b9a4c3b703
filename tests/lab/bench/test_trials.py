"""Sessions that are broken on purpose, with a real model, real sockets and a server that is really killed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.sources import pcm_chunks
from rtstt_lab.lab.bench.campaign import FINALIZING, Attempt, Trial
from rtstt_lab.lab.bench.mortal import MortalServer
from rtstt_lab.lab.bench.trials import undergo
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.replay.faults import Corrupted, Cut, Delay, Duplicated, Kill, Sigstop
from rtstt_lab.replay.speech import detect_speech
from rtstt_lab.types import SAMPLE_RATE_HZ

RECORDING = Corpus.shipped("en")["en_beckett"]


@pytest.fixture
async def server() -> AsyncIterator[MortalServer]:
    async with MortalServer("tiny.en") as started:
        yield started


@pytest.mark.requirement("L4", "E4")
async def test_a_server_that_is_stopped_and_killed_loses_no_word(server: MortalServer) -> None:
    """Stopped, sent damaged and repeated chunks, killed and restarted: all is there."""
    attempts = (
        Attempt("sigstop", (Sigstop(at_s=1.0, duration_s=0.5),)),
        Attempt("corrupted", (Corrupted(at_s=2.5, duration_s=60.0, chunks=2),)),
        Attempt("duplicated", (Duplicated(at_s=3.5, duration_s=60.0, chunks=1),)),
        Attempt("kill", (Kill(at_s=5.2, duration_s=0.1),)),
    )
    samples = load_audio(RECORDING)
    outcome = await undergo(
        Trial(RECORDING, attempts), list(pcm_chunks(samples)), detect_speech(samples), server
    )
    assert outcome.error == ""
    assert outcome.exact
    assert outcome.balanced
    assert outcome.captured_samples == outcome.recognised_samples == 159_414
    assert normalizer("en")(outcome.text) == normalizer("en")(RECORDING.reference)
    assert all(each.happened and each.recovered_s >= 0 for each in outcome.suffered)
    killed = outcome.suffered[-1]
    assert killed.ended_s > killed.began_s + 0.1
    assert outcome.extra == 1


@pytest.mark.requirement("L4")
async def test_a_cut_behind_stop_meets_the_session_however_fast_the_server_is(server: MortalServer) -> None:
    """It comes before the answer to stop, breaks the connection, and is recovered from."""
    late = Attempt(
        FINALIZING, after_stop=(Delay(at_s=0, duration_s=0.15, delay_s=0.1), Cut(at_s=0.15, duration_s=0.1))
    )
    samples = load_audio(RECORDING)[: 2 * SAMPLE_RATE_HZ]
    trial, chunks = Trial(RECORDING, (late,)), list(pcm_chunks(samples))
    outcome = await undergo(trial, chunks, detect_speech(samples), server)
    (cut,) = outcome.suffered
    assert outcome.error == ""
    assert outcome.exact
    assert cut.happened
    assert not cut.in_speech
    assert cut.began_s >= 2.0
    assert cut.recovered_s >= 0

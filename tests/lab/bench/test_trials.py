"""Sessions that are broken on purpose, with a real model, real sockets and a server that is really killed."""

from __future__ import annotations

import pytest

from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.sources import pcm_chunks
from rtstt_lab.lab.bench.campaign import FINALIZING, Attempt, Trial
from rtstt_lab.lab.bench.mortal import MortalServer
from rtstt_lab.lab.bench.trials import undergo
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.replay.faults import Corrupted, Cut, Duplicated, Kill, Sigstop


@pytest.mark.requirement("L4", "E4")
async def test_a_server_that_is_stopped_and_killed_loses_no_word() -> None:
    """Stopped, sent damaged and repeated chunks, killed and restarted, cut off at the end: all is there."""
    recording = Corpus.shipped("en")["en_beckett"]
    attempts = (
        Attempt("sigstop", (Sigstop(at_s=1.0, duration_s=0.5),), in_speech=True),
        Attempt("corrupted", (Corrupted(at_s=2.5, duration_s=1.0, chunks=2),), in_speech=True),
        Attempt("duplicated", (Duplicated(at_s=3.5, duration_s=1.0, chunks=1),), in_speech=True),
        Attempt("kill", (Kill(at_s=5.2, duration_s=0.1),), in_speech=True),
        Attempt(FINALIZING, (Cut(at_s=9.97, duration_s=0.3),), in_speech=False),
    )
    async with MortalServer("tiny.en") as server:
        outcome = await undergo(Trial(recording, attempts), list(pcm_chunks(load_audio(recording))), server)
    assert outcome.error == ""
    assert outcome.exact
    assert outcome.balanced
    assert outcome.captured_samples == outcome.recognised_samples == 159_414
    assert normalizer("en")(outcome.text) == normalizer("en")(recording.reference)
    happened = {each.attempt.kind for each in outcome.suffered if each.happened}
    assert happened >= {"sigstop", "corrupted", "duplicated", "kill"}
    assert all(each.recovered_s >= 0 for each in outcome.suffered if each.happened)
    (killed,) = (each for each in outcome.suffered if each.attempt.kind == "kill")
    assert killed.ended_s > killed.began_s + 0.1
    assert outcome.extra == 1

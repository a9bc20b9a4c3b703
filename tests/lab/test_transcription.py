"""Figures of a session that was written down by hand, so that each can be computed on paper."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from rtstt_lab.analysis.metrics import Signature
from rtstt_lab.client.result import SessionResult
from rtstt_lab.errors import CorpusError
from rtstt_lab.lab.demo import clip_for
from rtstt_lab.lab.transcription import Recorded, Transcription, figures_of
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.types import Final, Word

WORDS = (Word(" One", 0.1, 0.4, 0.9), Word(" two.", 0.5, 0.9, 0.7))


def events() -> list[dict[str, Any]]:
    """Four chunks, a partial that promises the first word, a final with both."""
    wire = [(word.text, word.start_s, word.end_s, word.probability) for word in WORDS]
    chunk = {"event": "chunk", "stream": 0, "bytes": 8_000, "duration_s": 0.25}
    noted: list[dict[str, Any]] = []
    for seq in range(4):
        at_s = 0.25 * (seq + 1)
        noted += [
            {**chunk, "seq": seq, "audio_s": 0.25 * seq, "captured_s": 0.25 * seq, "at_s": at_s},
            {"event": "sent", "seq": seq, "at_s": at_s},
            {"event": "accepted", "seq": seq, "at_s": at_s + 0.01},
        ]
    partial = {"event": "partial", "segment": 0, "revision": 0, "committed": 1, "audio_end_s": 0.5}
    final = {"event": "final", "segment": 0, "audio_end_s": 1.0}
    return [*noted, {**partial, "words": wire[:1], "at_s": 0.9}, {**final, "words": wire, "at_s": 1.6}]


@pytest.fixture
def result() -> SessionResult:
    """The session."""
    return SessionResult(
        session_id="6f9a",
        model="base",
        language="en",
        started_monotonic_s=100.0,
        stopped_s=1.0,
        finals=(Final(0, WORDS, 1.0, "en"),),
        ledger=Ledger(4, 4, 4, 0, 0, 0, 0, 0),
        summary=None,
        error=None,
        events=events(),
    )


@pytest.mark.requirement("M1", "M3")
def test_figures_are_those_of_the_definitions(result: SessionResult) -> None:
    """Final latency counts from a word's end to its commitment; partial latency from sending to covering."""
    figures = figures_of(result, process_cpu_s=0.5)
    # committed: " One" at 0.9 by the partial (ends 0.4), " two." at 1.6 by the final (ends 0.9)
    assert figures.final_latency_s.mean.value == pytest.approx((0.5 + 0.7) / 2)
    # covered: chunks 0, 1 (sent 0.25, 0.5) at 0.9; chunks 2, 3 (sent 0.75, 1.0) at 1.6; all hold speech
    assert figures.partial_latency_s.mean.value == pytest.approx((0.65 + 0.4 + 0.85 + 0.6) / 4)
    assert figures.confidence == pytest.approx(0.8)
    assert figures.cpu_per_audio_s == pytest.approx(0.5)
    assert figures.chunks.balanced


def test_nobody_waits_for_a_recording_that_is_sent_fast(result: SessionResult) -> None:
    """Without the pace of speech there are no latencies; everything else is a figure all the same."""
    figures = figures_of(result, process_cpu_s=0.5, fast=True)
    assert np.isnan(figures.final_latency_s.mean.value)
    assert np.isnan(figures.partial_latency_s.p95.value)
    assert figures.confidence == pytest.approx(0.8)


def test_json_and_transcript_say_the_same(result: SessionResult) -> None:
    """The object of --json and the transcript that is saved agree on text, words and completeness."""
    signature = Signature(*("–",) * 5, 250, *("–",) * 4)
    recorded = Recorded(np.zeros(16_000, np.float32), "hand")
    started_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    transcription = Transcription(recorded, started_at, result, figures_of(result, 0.5), signature)
    as_json, transcript = transcription.to_json(), transcription.transcript()
    assert as_json["text"] == transcript.text == "One two."
    assert as_json["words"][1] == {
        "word": "two.", "start_s": 0.5, "end_s": 0.9, "probability": 0.7, "emitted_s": 1.6
    }  # fmt: skip
    assert as_json["partials"] == [{"emitted_s": 0.9, "text": "One"}]
    assert as_json["complete"] is transcript.complete is True
    assert transcript.duration_s == as_json["duration_s"] == 1.0
    assert transcript.mean_latency_s == pytest.approx(0.625)


@pytest.mark.requirement("U2")
def test_each_language_has_a_clip_to_show() -> None:
    """Spanish is the made sample; English is a human reading where its package is installed."""
    assert clip_for("es").language == "es"
    assert clip_for("en").category == "read"
    with pytest.raises(CorpusError):
        clip_for("eo")

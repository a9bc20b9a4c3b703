"""What is laid at a fault's door, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rtstt_lab.lab.bench import damage, endurance
from rtstt_lab.lab.bench.campaign import Attempt, Trial
from rtstt_lab.lab.bench.trials import LostChunk, Outcome, Suffered
from rtstt_lab.protocol.windows import Ledger
from rtstt_lab.replay.corpus import Recording
from rtstt_lab.replay.faults import Cut, Duplicated
from rtstt_lab.types import Word

TEXT = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa"
RECORDING = Recording("spelt", "en", TEXT, 16.0, "", "", "", "read", "/nowhere")
WORDS = [Word(f" {word}", float(i), i + 0.8, 0.9) for i, word in enumerate(TEXT.split())]
WHOLE = Ledger(64, 64, 64, 0, 0, 0, 0, 0)


def suffered(at_s: float, *, happened: bool = True, recovered_s: float = 1.0) -> Suffered:
    attempt = Attempt("cut", (Cut(at_s=at_s, duration_s=1.0),))
    return Suffered(attempt, happened, True, at_s, at_s + 1.0, 0.5, recovered_s)


def outcome(words: list[Word], *happened: Suffered, ledger: Ledger = WHOLE, **more: Any) -> Outcome:
    trial = Trial(RECORDING, tuple(each.attempt for each in happened))
    text = "".join(word.text for word in words).strip()
    counted = {"captured_samples": 256_000, "recognised_samples": 256_000} | more
    return Outcome(trial, tuple(words), text, ledger=ledger, suffered=happened, **counted)


CLEAN = [outcome(WORDS)] * 3


def test_nothing_lost_meets_every_goal() -> None:
    """The same words, all samples, all recovered: zeros, and what did not happen is not counted."""
    got = damage.assess([*CLEAN, outcome(WORDS, suffered(4.0), suffered(9.0, happened=False))])
    assert got["faults"] == {"cut": {"n": 1, "in_speech": 1, "recovered": 1, "failed": 0, "missed": 1}}
    assert (got["lost_chunks"], got["lost_samples"], got["lost_words"], got["repeated_words"]) == (0,) * 4
    assert (got["wer_delta"], got["failed"], got["elsewhere"]) == (0.0, [], [])
    assert got["recovery_s"] == {"cut": {"n": 1, "missing": 0, "p50": 1.0, "p95": 1.0, "max": 1.0}}
    assert damage.goals(got) == dict.fromkeys(("lost_chunks", "words", "wer_delta", "recovered"), True)


def test_words_are_laid_at_the_nearest_fault_within_three_seconds() -> None:
    """Two words missing beside the second fault; two far from any are told apart."""
    heard = [word for word in WORDS if word.start_s not in {0.0, 1.0, 12.0, 13.0}]
    got = damage.assess([*CLEAN, outcome(heard, suffered(6.0), suffered(10.0))])
    assert got["lost_words"] == 2
    (row,) = got["failed"]
    assert (row["at_s"], row["missing"]) == (10.0, ["mike november"])
    assert [(each["what"], each["words"]) for each in got["elsewhere"]] == [("missing", "alpha bravo")]
    assert got["wer_delta"] == pytest.approx(4 / 16)
    assert not damage.goals(got)["words"]
    table = endurance.faults_markdown(got | {"signature": {"chunk_ms": 250}})
    assert "| `cut` | 2 | 2 | 2 | 1 | 1.00 s | 1.00 s | 1.00 s |" in table
    assert "- `cut` at 10.00 s of spelt (seed 0): missing “mike november”" in table


def test_words_said_twice_are_told() -> None:
    """What was recognised again after a fault stands twice in the text."""
    again = [Word(word.text, word.start_s + 0.4, word.end_s + 0.2, 0.9) for word in WORDS[4:7]]
    got = damage.assess([*CLEAN, outcome([*WORDS[:7], *again, *WORDS[7:]], suffered(6.0))])
    assert (got["lost_words"], got["repeated_words"]) == (0, 3)
    assert got["failed"][0]["repeated"] == ["echo foxtrot golf"]


def test_lost_chunks_samples_and_sessions_are_failures() -> None:
    """A hole, an audio clock that is off by a sample, a session that never recovered: each is told."""
    holed = outcome(
        WORDS,
        suffered(4.0),
        ledger=Ledger(64, 64, 63, 0, 0, 1, 1, 0),
        lost=(LostChunk(20, 5.0, 5.25),),
        recognised_samples=255_999,
    )
    dead = outcome(WORDS, suffered(4.0, recovered_s=float("nan")), error="given up")
    got = damage.assess([*CLEAN, holed, dead])
    assert (got["lost_chunks"], got["lost_samples"]) == (1, 1)
    assert [(row["chunks"], row["recovered_s"], row["error"]) for row in got["failed"]] == [
        (1, 1.0, ""),
        (0, None, "given up"),
    ]
    assert [row["error"] for row in got["broken"]] == ["given up"]
    assert got["recovery_s"]["cut"]["missing"] == 1
    reached = damage.goals(got)
    assert (reached["lost_chunks"], reached["recovered"]) == (False, False)


def test_what_the_campaign_sent_itself_is_no_imbalance() -> None:
    """A duplicate that no session sent is in the server's half of the ledger only."""
    attempt = Attempt("duplicated", (Duplicated(at_s=4.0, duration_s=1.0),))
    ledger = Ledger(64, 64, 64, 1, 0, -1, 0, 0)
    twice = Suffered(attempt, True, True, 4.0, 4.0, 0.1, 0.1)
    assert damage.assess([*CLEAN, outcome(WORDS, twice, ledger=ledger, extra=1)])["unbalanced"] == 0
    assert damage.assess([*CLEAN, outcome(WORDS, twice, ledger=ledger)])["unbalanced"] == 1


def test_clean_sessions_are_measured_alike() -> None:
    """What one of three lacks is the control's figure; a clean session that failed is no measure."""
    torn = [outcome(WORDS), outcome(WORDS), outcome(WORDS[3:]), outcome([], error="no server")]
    got = damage.assess([*torn, outcome(WORDS, suffered(4.0))])
    assert got["clean"] == {"failed": 1, "sessions": 3, "lost_words": 3, "repeated_words": 0}
    assert got["lost_words"] == 0

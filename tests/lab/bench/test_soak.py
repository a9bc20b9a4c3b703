"""Sessions one after the other on a real server, and what is left of them."""

from __future__ import annotations

import pytest

from rtstt_lab.lab.bench import endurance, soak
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.replay.corpus import Corpus


@pytest.mark.requirement("O3", "L5")
def test_a_server_is_as_it_was_when_its_sessions_are_over() -> None:
    """Cut or not, every session ends whole; no file, task or journal of theirs is open afterwards."""
    corpus = Corpus.shipped("en").filter(ids=["en_beckett"])
    plan = soak.Plan(corpus, ModelStore().resolve("tiny.en"), hours=0.01, parallel=2, rest_s=2.0)
    told: list[str] = []
    got = soak.measure(plan, lambda recording_id, _: told.append(recording_id))
    assert got["failures"] == []
    assert got["lost_chunks"] == 0
    assert got["sessions"] == len(told) >= 4
    assert got["session_s"] >= 36
    assert got["reconnections"] >= 1
    first, last = got["first"], got["last"]
    assert (last["open_sessions"], last["journals"]) == (0, 0)
    assert last["tasks"] <= first["tasks"]
    assert last["files"] <= first["files"] + 1  # of the request that asks
    assert "| open sessions | 0 | 0 |" in endurance.soak_markdown(got)

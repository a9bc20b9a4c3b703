"""A session that is left alone: ours is suspended and taken up again; other servers are found."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.protocol import server_voice

from .broken_absence import ABSENCE
from .conftest import IMPATIENT, PATIENT
from .house import HASTY

ALONE_S = 0.3
AWAY = replace(PATIENT, kept_s=0.0, suspended_s=60.0)
SOON_GONE = replace(IMPATIENT, recognition_s=8.0, kept_s=0.0, button_s=2.0)


@pytest.fixture
def brief(monkeypatch):
    """Sessions that have audio are suspended a moment after their client has gone; buttons wait no longer."""
    monkeypatch.setattr(server_voice, "ServerSettings", partial(HASTY, control_wait_s=ALONE_S))
    lost = SessionEngine.link_lost

    def left_alone(self, number, now):
        lost(self, number, now)
        if self._linkless_at is not None and self._pipeline.recorded_s:
            self._linkless_at = now + ALONE_S

    monkeypatch.setattr(SessionEngine, "link_lost", left_alone)


@pytest.mark.requirement("L4", "R1")
async def test_ours_is_suspended_and_taken_up_again(examined, brief):
    """PCM, WebM and Ogg, by socket and by block: asked for again from the mark on, the header first."""
    rules = ("R4.suspended", "R4.webm_header", "R4.ogg_header", "R4.blocks", "R9.audio_never_comes")
    outcomes = await examined(*rules, patience=AWAY, minutes=True)
    told = {name: (o.verdict, o.expected, o.got and o.got.say("en")) for name, o in outcomes.items()}
    assert told == dict.fromkeys(rules, ("passed", "", None))


async def test_a_server_that_does_not_keep_sessions_long_enough_fails(examined, brief):
    """Suspended at once, though the rule gives two minutes."""
    outcomes = await examined("R4.suspended", patience=replace(AWAY, kept_s=110.0), minutes=True)
    assert outcomes["R4.suspended"].verdict == "failed"
    assert "suspended (" in outcomes["R4.suspended"].got.say("en")


@pytest.mark.parametrize(("breaks", "rules", "failing", "suspended_s"), ABSENCE)
async def test_a_broken_server_fails(breaks, rules, failing, suspended_s, examined, brief, monkeypatch):
    """What it breaks is found."""
    breaks(monkeypatch.setattr)
    outcomes = await examined(*rules, patience=replace(SOON_GONE, suspended_s=suspended_s), minutes=True)
    assert {name for name, outcome in outcomes.items() if outcome.verdict == "failed"} == failing

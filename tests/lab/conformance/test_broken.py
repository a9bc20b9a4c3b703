"""For each rule servers that break it on purpose: each fails the checks that are about it, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.protocol.server_links import ServerLinks
from rtstt_lab.server import routes, serving

from . import (  # noqa: F401 - they declare themselves
    broken_audio,
    broken_calls,
    broken_flow,
    broken_links,
    broken_manners,
    broken_recorders,
)
from .breaking import BROKEN
from .broken_absence import ABSENCE
from .conftest import IMPATIENT
from .house import running


@pytest.mark.parametrize(("breaks", "rules", "failing", "recognition_s"), BROKEN)
async def test_a_broken_server_fails(breaks, rules, failing, recognition_s, examined, monkeypatch):
    """What it breaks is found, and nothing else of the same rule."""
    breaks(monkeypatch.setattr)
    outcomes = await examined(*rules, patience=replace(IMPATIENT, recognition_s=recognition_s))
    failed = {check: outcome for check, outcome in outcomes.items() if outcome.verdict == "failed"}
    assert set(failed) == failing, [(o.check.id, o.expected, o.got.say("en")) for o in failed.values()]


def test_every_rule_is_broken():
    """No rule whose checks were never seen to fail, and that not in `make test` already."""
    often = [param for param in BROKEN if not param.marks]
    failing = {check.partition(".")[0] for param in often for check in param.values[2]}
    assert failing == {check.rule for check in CHECKS}
    assert len(often) >= 24


def test_every_check_was_seen_to_fail():
    """Those that wait for minutes included, where a session is suspended sooner (`test_absence`)."""
    failing = {check for param in BROKEN for check in param.values[2]} | broken_calls.FAILING_ELSEWHERE
    failing |= {"REST.answers", "F.answers"}  # `test_hostile`
    failing |= {check for param in ABSENCE for check in param.values[2]}
    assert {check.id for check in CHECKS} - failing == set()


@pytest.mark.long
async def test_a_server_without_bounds_fails(tmp_path, examined, monkeypatch):
    """Compression is agreed to, frames and bodies may be as long as they like."""
    config = serving._config

    def roomy(settings, registry):
        made = config(settings, registry)
        made.ws_per_message_deflate = True
        return made

    monkeypatch.setattr(serving, "_config", roomy)
    heard = ServerLinks.heard
    monkeypatch.setattr(ServerLinks, "heard", lambda self, number, size: heard(self, number, 0))
    monkeypatch.setattr(routes, "_parse", lambda body, kind: kind())
    with running(tmp_path, max_frame_bytes=50_000_000, max_body_bytes=50_000_000) as url:
        outcomes = await examined(*broken_calls.FAILING_ELSEWHERE, url=url, patience=IMPATIENT)
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "failed")

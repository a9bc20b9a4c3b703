"""How checks are chosen, judged and told."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from rtstt_lab.errors import AuthenticationError, ConnectionFailedError, UsageError
from rtstt_lab.lab.conformance import report
from rtstt_lab.lab.conformance.checks import Check, NotJudged, Outcome, Unmet, phrase
from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.lab.conformance.run import Examination, chosen, examine
from rtstt_lab.lab.conformance.talk import describe
from rtstt_lab.protocol import messages as wire
from rtstt_lab.texts import catalogue

from .house import TOKEN


def test_every_rule_has_checks_in_both_languages():
    """Rules 1 to 12, the REST table and the frames; each check by its own name, its text told twice."""
    assert {check.rule for check in CHECKS} == {f"R{n}" for n in range(1, 13)} | {"REST", "F"}
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.text("en") != check.text("es")
    told = {
        key.removeprefix("conformance.") for key in catalogue("en") if "." in key.removeprefix("conformance.")
    }
    assert {key for key in told if key.partition(".")[0].isupper()} == {check.id for check in CHECKS}


def test_rules_are_chosen_by_number_or_name():
    """A number, a rule, a check; no such rule is a mistake that names those there are."""
    assert {check.rule for check in chosen(["7"])} == {"R7"}
    assert {check.rule for check in chosen(["r7", "REST"])} == {"R7", "REST"}
    assert [check.id for check in chosen(["R1.checksum"])] == ["R1.checksum"]
    assert chosen([]) == CHECKS
    with pytest.raises(UsageError, match="R12"):
        chosen(["13"])


async def content(_):
    pass


async def unmet(_):
    raise Unmet("server:ack seq=1", phrase("got_nothing", seconds=2, last="–"))


async def unfit(_):
    raise NotJudged(phrase("no_words"))


async def confused(_):
    raise KeyError("session_id")


async def test_verdicts(house, speech):
    """Passed, failed with what was expected and came, skipped with a reason; an odd answer fails, too."""
    checks = [
        Check(name, procedure)
        for name, procedure in (
            ("R1.duplicate", content),
            ("R1.length", unmet),
            ("R2.text_comes", unfit),
            ("R3.resume", confused),
        )
    ]
    told = []
    with pytest.raises(AuthenticationError):
        await examine(house, token="x" * 32, speech=speech, checks=checks)
    with pytest.raises(AuthenticationError, match="--token"):
        await examine(house, token=None, speech=speech, checks=checks)
    with pytest.raises(ConnectionFailedError):
        await examine("http://127.0.0.1:1", token=None, speech=speech, checks=checks)
    examination = await examine(
        f"{house}/?token=of-a-proxy", token=TOKEN, speech=speech, checks=checks, progress=told.append
    )
    assert [outcome.verdict for outcome in examination.outcomes] == ["passed", "failed", "skipped", "failed"]
    assert set(told) == set(examination.outcomes)
    assert not examination.passed
    plain = report.as_json(examination, "en")
    assert (plain["passed"], plain["failed"], plain["skipped"]) == (1, 2, 1)
    assert "of-a-proxy" not in str(plain)
    assert plain["checks"][1]["expected"] == "server:ack seq=1"
    assert plain["checks"][1]["got"].startswith("nothing of the kind within 2 s")
    assert "KeyError" in plain["checks"][3]["got"]


def test_the_table_in_both_languages():
    """What was expected and what came stand beside the rule."""
    failed = Outcome(CHECKS[0], "failed", 0.1, "POST 201", phrase("got_status", status=500, body="[red]"))
    examination = Examination("http://x", datetime.now(UTC), 1.0, (failed,))
    for language, words in (
        ("en", ("failed", "expected: POST 201")),
        ("es", ("fallida", "se esperaba: POST 201")),
    ):
        written = io.StringIO()
        Console(width=400, file=written).print(report.table(examination, language))
        shown = written.getvalue()
        assert all(word in shown for word in (*words, "HTTP 500 [red]", CHECKS[0].text(language)))
        assert "1" in report.summary(examination, language)


def test_no_token_is_told():
    """What a message held of tokens is not shown."""
    sync = wire.Sync("secret-token", "idle", 0, 0, 0, 0, 0, wire.Received())
    assert "secret" not in describe(wire.Status(state="idle", phase="idle", sync=sync))

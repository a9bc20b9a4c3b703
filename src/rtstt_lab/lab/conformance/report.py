"""What came of an examination: a table for people, an object for programs; and the list of all checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from rtstt_lab.lab.conformance.checks import Check, Outcome
from rtstt_lab.lab.conformance.run import Examination
from rtstt_lab.texts import text

_STYLES: Final = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def table(examination: Examination, language: str) -> Table:
    """A line a check: what the rule says, what came of it and, where it failed, expected and come."""
    columns = ("check", "rule", "verdict", "detail")
    shown = Table(*(text(f"conformance.column_{column}", language) for column in columns), box=None)
    shown.columns[0].no_wrap = shown.columns[2].no_wrap = True
    shown.columns[1].ratio, shown.columns[3].ratio = 3, 4
    for outcome in examination.outcomes:
        shown.add_row(
            outcome.check.id,
            Text(outcome.check.text(language)),
            Text(text(f"conformance.{outcome.verdict}", language), style=_STYLES[outcome.verdict]),
            Text("\n".join(_details(outcome, language))),
        )
    return shown


def summary(examination: Examination, language: str) -> str:
    """One line: how many passed, failed and were skipped."""
    return text(
        "conformance.summary",
        language,
        passed=examination.count("passed"),
        failed=examination.count("failed"),
        skipped=examination.count("skipped"),
        seconds=examination.seconds,
    )


def as_json(examination: Examination, language: str) -> dict[str, Any]:
    """Plain objects, texts in one language."""
    return {
        "url": examination.url,
        "started_at": examination.started_at.isoformat(),
        "seconds": round(examination.seconds, 3),
        "passed": examination.count("passed"),
        "failed": examination.count("failed"),
        "skipped": examination.count("skipped"),
        "checks": [_plain(outcome, language) for outcome in examination.outcomes],
    }


def markdown(checks: Iterable[Check], language: str) -> str:
    """The list of checks as a table of Markdown."""
    rows = [f"| `{check.id}` | {check.text(language)} |" for check in checks]
    return "\n".join(["| check | what the rule says |", "|---|---|", *rows])


def _plain(outcome: Outcome, language: str) -> dict[str, Any]:
    got = outcome.got.say(language) if outcome.got else None
    return {
        "id": outcome.check.id,
        "rule": outcome.check.rule,
        "text": outcome.check.text(language),
        "verdict": outcome.verdict,
        "seconds": round(outcome.seconds, 3),
        "expected": outcome.expected or None,
        "got": got if outcome.verdict == "failed" else None,
        "reason": got if outcome.verdict == "skipped" else None,
    }


def _details(outcome: Outcome, language: str) -> Iterator[str]:
    if outcome.expected:
        yield text("conformance.expected", language, text=outcome.expected)
    if outcome.got is not None:
        said = outcome.got.say(language)
        yield text("conformance.came", language, text=said) if outcome.verdict == "failed" else said

"""``rtstt conformance``: is what answers there a server by every rule of the protocol?"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from rtstt_lab.cli.localized import command, option, say
from rtstt_lab.cli.view import Screen
from rtstt_lab.errors import StorageError, UsageError
from rtstt_lab.lab.conformance import report
from rtstt_lab.lab.conformance.audio import shipped_speech
from rtstt_lab.lab.conformance.checks import Outcome
from rtstt_lab.lab.conformance.run import SESSIONS, chosen, examine
from rtstt_lab.records import write_atomically
from rtstt_lab.texts import preferred_language


@command("conformance", help_key="conformance.help")
@click.argument("url", metavar="URL")
@option("--token", envvar="RTSTT_TOKEN", help_key="conformance.token")
@option("--token-file", type=click.Path(path_type=Path), help_key="conformance.token_file")
@option("--cafile", type=click.Path(path_type=Path), help_key="conformance.cafile")
@option("--rule", "rules", multiple=True, metavar="N", help_key="conformance.rule")
@option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help_key="conformance.json")
@option(
    "--sessions",
    type=click.IntRange(2, 64),
    default=SESSIONS,
    show_default=True,
    help_key="conformance.sessions",
)
@option("--minutes", is_flag=True, help_key="conformance.minutes_option")
@click.pass_context
def conformance(  # noqa: PLR0917 - click gives every option by its name
    context: click.Context,
    url: str,
    token: str | None,
    token_file: Path | None,
    cafile: Path | None,
    rules: tuple[str, ...],
    json_file: Path | None,
    sessions: int,
    minutes: bool,
) -> None:
    """Examines, prints the table, and ends with 1 where a check has failed."""
    checks = chosen(rules)
    if cafile and not url.lower().startswith("https:"):
        raise UsageError("cafile_plain")
    if token_file:
        if context.get_parameter_source("token") is ParameterSource.COMMANDLINE:
            raise UsageError("token_twice")
        token = _read_token(token_file)
    with _progress(len(checks)) as progress:
        examination = asyncio.run(
            examine(
                url,
                token=token or None,
                speech=shipped_speech(),
                checks=checks,
                sessions=sessions,
                minutes=minutes,
                cafile=cafile,
                progress=progress,
            )
        )
    language = preferred_language(os.environ)
    screen = Screen()
    screen.print(report.table(examination, language))
    screen.print(report.summary(examination, language), markup=False, highlight=False)
    if json_file is not None:
        _write(json_file, json.dumps(report.as_json(examination, language), ensure_ascii=False, indent=2))
    context.exit(0 if examination.passed else 1)


class _progress:  # noqa: N801 - used as a function
    """How many checks are through, on stderr where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True)
        self._status = self._console.status("")
        self._total = total
        self._done = 0

    def __enter__(self) -> _progress:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, outcome: Outcome) -> None:
        self._done += 1
        self._status.update(
            say("conformance.progress", done=self._done, total=self._total, id=outcome.check.id)
        )


def _read_token(path: Path) -> str:
    try:
        words = path.read_text("utf-8").split()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError("token_file", path=str(path), reason=reason or "UTF-8") from error
    if len(words) != 1:
        raise UsageError("token_file_words", path=str(path), count=len(words))
    return words[0]


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content + "\n")
    except OSError as error:
        raise StorageError("bench_file", path=str(path), reason=error.strerror or str(error)) from error

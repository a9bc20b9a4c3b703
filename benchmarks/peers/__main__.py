"""``make bench-peers``: this project beside other streaming Whispers, as JSON and as a table."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import platformdirs

from benchmarks.peers import run, table
from benchmarks.peers.known import chosen
from rtstt_lab.errors import RtsttError, UsageError
from rtstt_lab.lab.bench import report, selection
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_VENVS: Final = platformdirs.user_cache_path("rtstt_lab") / "peers"


@click.command()
@click.option("--manifest", type=_FILE, help="Recordings; default: RTSTT_CORPUS, else the shipped ones.")
@click.option("--ids", metavar="ID,…", help="Only these recordings.")
@click.option("--subset", type=click.Choice(["daily"]), help="About five minutes, chosen by rule.")
@click.option(
    "--peers", metavar="NAME[/CONFIGURATION],…", help="Only these; default: all, each configured twice."
)
@click.option("--model", default="base", show_default=True, help="Of all systems.")
@click.option(
    "--threads", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="Of a peer."
)
@click.option(
    "--venvs",
    type=click.Path(file_okay=False, path_type=Path),
    default=_VENVS,
    help="Folder of the peers' environments; default: in the user's cache.",
)
@click.option(
    "--json", "json_file", type=_FILE, help="Where the report goes, after each system; default: stdout."
)
@click.option("--table", "table_file", type=_FILE, help="Markdown file between whose markers the table goes.")
def main(  # noqa: PLR0917 - click gives every option by its name
    manifest: Path | None,
    ids: str | None,
    subset: str | None,
    peers: str | None,
    model: str,
    threads: int,
    venvs: Path,
    json_file: Path | None,
    table_file: Path | None,
) -> None:
    """Measures this project, offline faster-whisper and the peers on the same recordings in one run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the peers are ended
    try:
        store = ModelStore()
        local = store.resolve(model)
        corpus = _corpus(manifest, ids)
        corpus = selection.measurable(corpus, english_only=local.english_only)
        corpus = selection.daily(corpus) if subset else corpus
        if not len(corpus):
            raise UsageError("bench_nothing")
        systems = chosen(_names(peers) if peers else None)
        plan = run.Plan(corpus=corpus, model=local, peers=systems, venvs=venvs, threads=threads)
        for measured in run.measure(plan, store, _progress(time.monotonic())):
            if json_file is not None:
                _write(json_file, measured)
        if json_file is None:
            click.echo(json.dumps(measured, ensure_ascii=False, indent=2))
        if table_file is not None:
            report.write_between(table_file, table.BEGIN, table.END, table.markdown(measured))
    except RtsttError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


def _corpus(manifest: Path | None, ids: str | None) -> Corpus:
    corpus = Corpus.folder(manifest) if manifest else Corpus.from_environment(os.environ) or Corpus.shipped()
    return corpus.filter(ids=_names(ids)) if ids else corpus


def _names(listed: str) -> list[str]:
    return [each.strip() for each in listed.split(",") if each.strip()]


def _progress(began_s: float) -> run.Progress:
    def tell(system: str, recording_id: str) -> None:
        click.echo(f"{time.monotonic() - began_s:6.0f} s  {system}  {recording_id}", err=True)

    return tell


def _write(path: Path, measured: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(measured, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()

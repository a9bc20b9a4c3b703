"""``rtstt bench``: what recognition costs, how fast and how right it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rtstt_lab.cli.localized import LazyGroup, command, option
from rtstt_lab.errors import ServiceError, StorageError, UsageError
from rtstt_lab.lab.bench import benchmark, campaign, endurance, report, selection
from rtstt_lab.lab.bench import faults as breaking
from rtstt_lab.lab.bench import policies as scoring
from rtstt_lab.lab.bench import silence as quiet
from rtstt_lab.lab.bench import soak as lasting
from rtstt_lab.lab.signature import cores
from rtstt_lab.recognition.models import LocalModel, ModelStore
from rtstt_lab.recognition.policy import POLICIES
from rtstt_lab.recognition.settings import PROFILES, RecognizerSettings
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus

_COMMANDS: Final = {
    "streaming": "rtstt_lab.cli.bench:streaming",
    "policies": "rtstt_lab.cli.bench:policies",
    "silence": "rtstt_lab.cli.bench:silence",
    "faults": "rtstt_lab.cli.bench:faults",
    "soak": "rtstt_lab.cli.bench:soak",
}

bench: Final = LazyGroup("bench", commands_at=_COMMANDS, help="bench.help")

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@command("streaming", help_key="bench.streaming")
@option("--manifest", type=_FILE, help_key="bench.manifest")
@option("--ids", metavar="ID,…", help_key="bench.ids")
@option("--subset", type=click.Choice(["daily"]), help_key="bench.subset")
@option("--model", default="base", show_default=True, help_key="bench.model")
@option(
    "--policy",
    type=click.Choice([*PROFILES, *POLICIES]),
    default="balanced",
    show_default=True,
    help_key="bench.policy",
)
@option("--interval", type=click.FloatRange(0.1, 10.0), help_key="bench.interval")
@option(
    "--slowdown", type=click.FloatRange(1.0, 100.0), default=1.0, show_default=True, help_key="bench.slowdown"
)
@option("--path", type=click.Choice(["server", "recognizer"]), help_key="bench.path")
@option("--log", type=_FOLDER, help_key="bench.log")
@option("--json", "json_file", type=_FILE, help_key="bench.json")
@option("--table", type=_FILE, help_key="bench.table")
def streaming(  # noqa: PLR0917 - click gives every option by its name
    manifest: Path | None,
    ids: str | None,
    subset: str | None,
    model: str,
    policy: str,
    interval: float | None,
    slowdown: float,
    path: str | None,
    log: Path | None,
    json_file: Path | None,
    table: Path | None,
) -> None:
    """Measures, and writes the report."""
    store = ModelStore()
    local = store.resolve(model)
    corpus = _measurable(manifest, ids, local, subset)
    settings = RecognizerSettings.profile(policy)
    if interval is not None:
        settings = replace(settings, interval_s=interval)
    special = settings != RecognizerSettings() or slowdown != 1.0 or log is not None
    plan = benchmark.Plan(
        corpus=corpus,
        model=local,
        settings=settings,
        path=path or ("recognizer" if special else "server"),
        slowdown=slowdown,
        decodes=log,
    )
    with _progress(plan.work_s) as progress:
        measured = benchmark.measure(plan, store, progress)
    _write(json_file, measured)
    if table is not None:
        report.write_table(table, measured)


@command("policies", help_key="bench.policies")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@option("--manifest", type=_FILE, help_key="bench.manifest")
@option("--ids", metavar="ID,…", help_key="bench.ids")
@option("--json", "json_file", type=_FILE, help_key="bench.json")
def policies(folder: Path, manifest: Path | None, ids: str | None, json_file: Path | None) -> None:
    """Scores what `streaming` decoded under every policy."""
    corpus = selection.measurable(_corpus(manifest, ids))
    with _progress(selection.total_s(corpus)) as progress:
        scored = scoring.score(corpus, folder, ModelStore(), progress)
    click.echo(scoring.markdown(scored))
    if json_file is not None:
        _write(json_file, scored)


@command("silence", help_key="bench.silence")
@option("--model", default="base", show_default=True, help_key="bench.model")
@option(
    "--minutes", type=click.FloatRange(0.05, 600.0), default=60.0, show_default=True, help_key="bench.minutes"
)
@option("--json", "json_file", type=_FILE, help_key="bench.json")
def silence(model: str, minutes: float, json_file: Path | None) -> None:
    """Measures what listening costs while nobody speaks, and writes the report."""
    local = ModelStore().resolve(model)
    with _progress(len(quiet.LEVELS_DBFS) * 60 * minutes) as progress:
        measured = quiet.measure(local, 60 * minutes, progress)
    _write(json_file, measured)


@command("faults", help_key="bench.faults")
@option("--manifest", type=_FILE, help_key="bench.manifest")
@option("--ids", metavar="ID,…", help_key="bench.ids")
@option("--model", default="base", show_default=True, help_key="bench.model")
@option("--kinds", metavar="KIND,…", help_key="bench.kinds")
@option(
    "--each", type=click.IntRange(1, 1000), default=campaign.EACH, show_default=True, help_key="bench.each"
)
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help_key="bench.seed")
@option("--parallel", type=click.IntRange(1, 16), help_key="bench.parallel")
@option("--json", "json_file", type=_FILE, help_key="bench.json")
@option("--table", type=_FILE, help_key="bench.table")
def faults(  # noqa: PLR0917 - click gives every option by its name
    manifest: Path | None,
    ids: str | None,
    model: str,
    kinds: str | None,
    each: int,
    seed: int,
    parallel: int | None,
    json_file: Path | None,
    table: Path | None,
) -> None:
    """Breaks links, messages and servers on purpose, and writes the report."""
    local = ModelStore().resolve(model)
    corpus = _measurable(manifest, ids, local)
    plan = breaking.Plan(
        corpus=corpus,
        model=local,
        kinds=_listed(kinds) or campaign.KINDS,
        each=each,
        seed=seed,
        parallel=parallel or cores(),
    )
    trials = plan.trials()
    with _progress(breaking.total_s(trials)) as progress:
        measured = breaking.measure(plan, trials, progress)
    _write(json_file, measured)
    if table is not None:
        endurance.write_faults(table, measured)
    if outstanding := measured["outstanding"]:
        missing = ", ".join(f"{count} {kind}" for kind, count in outstanding.items())
        raise ServiceError("bench_faults_few", parts=measured["parts"], missing=missing)


@command("soak", help_key="bench.soak")
@option("--manifest", type=_FILE, help_key="bench.manifest")
@option("--ids", metavar="ID,…", help_key="bench.ids")
@option("--model", default="base", show_default=True, help_key="bench.model")
@option(
    "--hours", type=click.FloatRange(0.001, 100.0), default=1.0, show_default=True, help_key="bench.hours"
)
@option("--parallel", type=click.IntRange(1, 8), default=2, show_default=True, help_key="bench.at_once")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help_key="bench.seed")
@option("--json", "json_file", type=_FILE, help_key="bench.json")
@option("--table", type=_FILE, help_key="bench.table")
def soak(  # noqa: PLR0917 - click gives every option by its name
    manifest: Path | None,
    ids: str | None,
    model: str,
    hours: float,
    parallel: int,
    seed: int,
    json_file: Path | None,
    table: Path | None,
) -> None:
    """Plays hours of sessions to one server, and writes what is left of them."""
    local = ModelStore().resolve(model)
    corpus = _measurable(manifest, ids, local)
    plan = lasting.Plan(corpus=corpus, model=local, hours=hours, parallel=parallel, seed=seed)
    with _progress(plan.work_s) as progress:
        measured = lasting.measure(plan, progress)
    _write(json_file, measured)
    if table is not None:
        endurance.write_soak(table, measured)


def _listed(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]


def _corpus(manifest: Path | None, ids: str | None) -> Corpus:
    corpus = Corpus.folder(manifest) if manifest else Corpus.from_environment(os.environ) or Corpus.shipped()
    return corpus.filter(ids=_listed(ids)) if ids else corpus


def _measurable(
    manifest: Path | None, ids: str | None, model: LocalModel, subset: str | None = None
) -> Corpus:
    """What the model can be measured on, and something at least."""
    corpus = selection.measurable(_corpus(manifest, ids), english_only=model.english_only)
    if subset:
        corpus = selection.daily(corpus)
    if not len(corpus):
        raise UsageError("bench_nothing")
    return corpus


def _write(path: Path | None, measured: object) -> None:
    text = json.dumps(measured, ensure_ascii=False, indent=2)
    if path is None:
        click.echo(text)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text + "\n")
    except OSError as error:
        raise StorageError("bench_file", path=str(path), reason=error.strerror or str(error)) from error


@contextmanager
def _progress(work_s: float) -> Iterator[benchmark.Progress]:
    """A bar on stderr: seconds of audio that were worked through; without a terminal, a line each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda recording_id, _: click.echo(recording_id, err=True)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("s"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("", total=round(work_s))

        def advance(recording_id: str, audio_s: float) -> None:
            bar.update(task, description=recording_id, advance=audio_s)
            shown = bar.tasks[0]
            if shown.total is not None and shown.completed > shown.total:  # work that was added on the way
                bar.update(task, total=round(shown.completed))

        yield advance

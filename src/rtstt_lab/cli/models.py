"""``rtstt models``: what is here, and what can be had."""

from __future__ import annotations

import click
from rich.table import Table

from rtstt_lab.cli.localized import command, option, say
from rtstt_lab.cli.view import PreparationBar, Screen
from rtstt_lab.recognition.models import ModelInfo, ModelStore


@command("models", help_key="cli.models_help")
@option("--prepare", "prepared", metavar="NAME", help_key="cli.models_prepare")
def models(prepared: str | None) -> None:
    """Lists the models, or makes one ready."""
    store = ModelStore()
    if prepared is not None:
        with PreparationBar(Screen(stderr=True), prepared) as bar:
            model = store.resolve(prepared, progress=bar.progress)
        click.echo(say("cli.model_ready", model=model.name, path=model.path))
        return
    table = Table(
        *(say(f"cli.models_{column}") for column in ("name", "languages", "size", "where")), box=None
    )
    for info in store.list():
        table.add_row(*_row(info), style=None if info.available else "dim")
    table.columns[-1].overflow = "fold"
    console = Screen()
    console.print(table)
    console.print(say("cli.models_more"), soft_wrap=True, markup=False, highlight=False)


def _row(info: ModelInfo) -> tuple[str, str, str, str]:
    languages = say("cli.models_english" if info.english_only else "cli.models_many")
    size = f"{info.size_bytes / 1e6:.0f} MB" if info.size_bytes else "–"
    if not info.available:
        return info.name, languages, size, say("cli.models_hub")
    return info.name, languages, size, str(info.path or info.source.removeprefix("package:"))

"""``rtstt demo``: the main job in the terminal."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtstt_lab.analysis.metrics import GOAL_S, WARNING_S
from rtstt_lab.cli.interrupts import Interrupts, run_async
from rtstt_lab.cli.localized import INTERRUPTED, command, option, report_error, say
from rtstt_lab.cli.service import DEFAULT_MODEL, DEFAULT_OUTPUT, own_service, recognition_options
from rtstt_lab.cli.view import LiveView, Screen
from rtstt_lab.lab.demo import Demonstration, DemoReport, Punctuality, clip_for
from rtstt_lab.lab.service import LocalSettings
from rtstt_lab.texts import LANGUAGES, preferred_language


@command("demo", help_key="cli.demo_help")
@option("--language", type=click.Choice(LANGUAGES), help_key="cli.demo_language")
@recognition_options
def demo(
    language: str | None, model: str | None, device: str, compute_type: str, output: Path | None
) -> None:
    """Streams the clip of the person's language and shows what was measured."""
    settings = LocalSettings(model or DEFAULT_MODEL, output or DEFAULT_OUTPUT, device, compute_type)
    code = run_async(_demonstrate(settings, language or preferred_language(os.environ)))
    click.get_current_context().exit(code)


async def _demonstrate(settings: LocalSettings, language: str) -> int:
    console, notes = Screen(), Screen(stderr=True)
    recording = clip_for(language)
    with Interrupts() as interrupts:
        async with own_service(settings, language) as service:
            title = say(
                "cli.demo_title", clip=recording.id, seconds=recording.duration_s, speaker=recording.speaker
            )
            console.print(title, style="bold", markup=False, highlight=False)
            with LiveView(console, notes, timed=True) as view:
                demonstration = Demonstration(service, recording, observers=[view])
                with interrupts.stopping(demonstration.stop):
                    report = await demonstration.run()
    show_report(report, console)
    if error := report.transcription.result.error:
        report_error(error)
        return error.exit_code
    return INTERRUPTED if interrupts.pressed else 0


def show_report(report: DemoReport, console: Console) -> None:
    """Prints what the demonstration measured."""
    columns = ("mean", "p50", "p95", "under_goal", "over_warning")
    latencies = Table(say("cli.latency_s"), title_justify="left")
    for name in columns:
        latencies.add_column(say(f"cli.{name}", goal=GOAL_S, warning=WARNING_S), justify="right")
    latencies.add_row(say("cli.partial_latency"), *_figures(report.partial))
    latencies.add_row(say("cli.final_latency"), *_figures(report.final))
    console.print(latencies)
    figures, transcription = report.transcription.figures, report.transcription
    summary = Table.grid(padding=(0, 2))
    rows = {
        "confidence": _number(figures.confidence, "{:.2f}"),
        "errors": say(
            "cli.errors_value",
            rate=100 * report.errors.rate,
            edits=report.errors.edits,
            words=report.errors.reference,
        ),
        "loss": say("cli.loss_value", **asdict(figures.chunks)),
        "cpu": say("cli.cpu_value", seconds=_number(figures.cpu_per_audio_s, "{:.2f}")),
        "partials": str(len(transcription.result.partials)),
        "file": transcription.result.summary.file if transcription.result.summary else "–",
        "signature": str(transcription.signature),
    }
    for name, value in rows.items():
        summary.add_row(Text(say(f"cli.{name}_row"), style="dim"), Text(value, overflow="fold"))
    console.print(summary)


def _figures(punctuality: Punctuality) -> list[Text]:
    spread = punctuality.latency_s
    seconds = [
        Text(_number(e.value, "{:.2f}"), style=_style(e.value)) for e in (spread.mean, spread.p50, spread.p95)
    ]
    shares = [Text(_number(100 * s, "{:.0f} %")) for s in (punctuality.under_goal, punctuality.over_warning)]
    return seconds + shares


def _style(latency_s: float) -> str:
    if latency_s < GOAL_S:
        return "green"
    return "yellow" if latency_s <= WARNING_S else "red"


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)

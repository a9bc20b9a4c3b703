"""The report as a table for people, written between markers of a Markdown file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rtstt_lab.errors import StorageError, UsageError
from rtstt_lab.records import write_atomically

BEGIN: Final = "<!-- rtstt bench streaming -->"
END: Final = "<!-- /rtstt bench streaming -->"
NONE: Final = "–"

Figures = Mapping[str, Any]

_ROWS: Final[tuple[tuple[str, Callable[[Figures], Any], str], ...]] = (
    ("WER", lambda f: f["wer"], "percent"),
    ("deletions", lambda f: f["deletions"], "percent"),
    ("final latency, mean", lambda f: f["final_latency_s"]["mean"], "s"),
    ("final latency, p50", lambda f: f["final_latency_s"]["p50"], "s"),
    ("final latency, p95", lambda f: f["final_latency_s"]["p95"], "s"),
    ("first shown, p50", lambda f: f["first_shown_latency_s"]["p50"], "s"),
    ("first shown, p95", lambda f: f["first_shown_latency_s"]["p95"], "s"),
    ("last final after the end of speech, p95", lambda f: f["end_latency_s"], "s"),
    ("worst gap", lambda f: f["worst_gap_s"], "s"),
    ("CPU per audio second, all", lambda f: f["cpu_per_audio_s"], "s/s"),
    ("CPU per audio second, 60 s and more", lambda f: f["cpu_per_audio_s_long"], "s/s"),
    ("words shown and later changed ÷ final words", lambda f: f["unstable_ratio"], ""),
    ("repetition loops", lambda f: f["loops"], "count"),
    ("recordings; seconds", lambda f: f"{f['utterances']}; {f['audio_s']:.0f}", "text"),
)


def markdown(report: Mapping[str, Any]) -> str:
    """The figures of both systems, the headline languages together and each, with the signature."""
    systems = report["systems"]
    columns = {
        f"{name}, {language}": figures
        for name, whole in systems.items()
        for language, figures in {"en + es": whole, **_headline(whole)}.items()
    }
    lines = [
        "| | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
        *(
            f"| {title} | " + " | ".join(cell(read(figures), unit) for figures in columns.values()) + " |"
            for title, read, unit in _ROWS
        ),
        "",
        *_notes(report),
    ]
    return "\n".join(lines)


def write_table(path: Path, report: Mapping[str, Any]) -> None:
    """Puts `markdown` between the markers of a file; raises as `write_between`."""
    write_between(path, BEGIN, END, markdown(report))


def write_between(path: Path, begin_mark: str, end_mark: str, table: str) -> None:
    """Replaces what stands between two markers of a file.

    Raises:
        UsageError: the file has no markers.
        StorageError: it cannot be read or written.
    """
    try:
        text = path.read_text("utf-8")
        head, begin, rest = text.partition(begin_mark)
        _, end, tail = rest.partition(end_mark)
        if not (begin and end):
            raise UsageError("bench_table", path=str(path), begin=begin_mark, end=end_mark)
        write_atomically(path, f"{head}{begin_mark}\n{table}\n{end_mark}{tail}")
    except OSError as error:
        raise StorageError("bench_file", path=str(path), reason=error.strerror or str(error)) from error


def _headline(figures: Figures) -> dict[str, Figures]:
    return {name: own for name, own in figures["by_language"].items() if name in {"en", "es"}}


def _notes(report: Mapping[str, Any]) -> list[str]:
    ratios, systems = report["ratios"], report["systems"]
    interval = ratios["wer_difference_interval"] or [None, None]
    memory = ", ".join(f"{name} {own['rss_mb']:.0f} MB" for name, own in systems.items() if own["rss_mb"])
    invented = ", ".join(f"{name} {own['hallucinated_words']}" for name, own in systems.items())
    difference = " to ".join(cell(end, "points") for end in interval)
    return [
        f"Streaming − offline WER: {cell(ratios['wer_difference'], 'points')} points ({difference}). "
        f"CPU, streaming ÷ offline, recordings of 60 s and more: {cell(ratios['cpu'], '')}; "
        f"all: {cell(ratios['cpu_all'], '')}.",
        "",
        f"Words invented on non-speech: {invented}. Memory: {memory}. Failures: {len(report['failures'])}.",
        "",
        f"Path: {report['path']}; slowdown {report['slowdown']:g}. "
        + "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in report["signature"].items())
        + ".",
    ]


def cell(value: Any, unit: str) -> str:
    """A figure as people read it: ``percent``, ``points`` of shares, ``count``, ``text``, or its unit."""
    if value is None:
        return NONE
    match unit:
        case "percent":
            return f"{100 * value:.1f} %"
        case "points":
            return f"{100 * value:+.1f}"
        case "count" | "text":
            return str(value)
        case _:
            return f"{value:.2f} {unit}".strip()

"""The report as a table for people: a row a system and language, the slowest row included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.peers.run import OFFLINE
from rtstt_lab.lab.bench.report import cell

BEGIN: Final = "<!-- benchmarks/peers -->"
END: Final = "<!-- /benchmarks/peers -->"
_SAME_WER: Final = 0.005

Figures = Mapping[str, Any]

_COLUMNS: Final[tuple[tuple[str, Callable[[Figures, Figures], Any], str], ...]] = (
    ("WER", lambda f, _: f["wer"], "percent"),
    ("final mean", lambda f, _: f["final_latency_s"]["mean"], "s"),
    ("final p50", lambda f, _: f["final_latency_s"]["p50"], "s"),
    ("final p95", lambda f, _: f["final_latency_s"]["p95"], "s"),
    ("shown p50", lambda f, _: f["first_shown_latency_s"]["p50"], "s"),
    ("shown p95", lambda f, _: f["first_shown_latency_s"]["p95"], "s"),
    ("last final after end, p95", lambda f, _: f["end_latency_s"], "s"),
    ("worst gap", lambda f, _: f["worst_gap_s"], "s"),
    ("unstable", lambda f, _: f["unstable_ratio"], ""),
    ("CPU", lambda f, _: f["cpu_per_audio_s"], "s/s"),
    ("÷ offline, all", lambda _, r: r.get("cpu_all"), ""),
    ("÷ offline, ≥ 60 s", lambda _, r: r.get("cpu"), ""),
    ("failures", lambda f, _: f["failures"], "count"),
    ("words; recordings", lambda f, _: f"{f['final_latency_s']['n']}; {f['utterances']}", "text"),
)


def best_of(report: Mapping[str, Any]) -> list[str]:
    """The systems that the table shows: of a peer's configurations the better one.

    The better one has the lower mean final latency among those whose WER is within half a point of the
    lowest.
    """
    groups: dict[str, list[str]] = {}
    for name in report["systems"]:
        groups.setdefault(name.partition("/")[0], []).append(name)
    return [_better(names, report["systems"]) for names in groups.values()]


def _better(names: Sequence[str], systems: Mapping[str, Figures]) -> str:
    def of(name: str, *keys: str) -> float:
        value: Any = systems[name]
        for key in keys:
            value = value[key]
        return float("inf") if value is None else float(value)

    lowest = min(of(name, "wer") for name in names)
    good = [name for name in names if of(name, "wer") <= lowest + _SAME_WER]
    return min(good, key=lambda name: of(name, "final_latency_s", "mean"))


def markdown(report: Mapping[str, Any]) -> str:
    """The better configuration of every peer beside offline and this project, in each headline language."""
    shown = best_of(report)
    languages = [
        language for language in ("en", "es") if language in report["systems"][OFFLINE]["by_language"]
    ]
    lines = []
    for language in languages:
        lines += [f"| {language} | " + " | ".join(title for title, _, _ in _COLUMNS) + " |"]
        lines += ["|---|" + "---:|" * len(_COLUMNS)]
        lines += [_row(name, language, report) for name in shown]
        lines += [""]
    return "\n".join([*lines, *_notes(report, shown)])


def _row(name: str, language: str, report: Mapping[str, Any]) -> str:
    figures = report["systems"][name]["by_language"][language]
    ratios = report["ratios"].get(name, {}).get("by_language", {}).get(language, {})
    cells = [cell(read(figures, ratios), unit) for _, read, unit in _COLUMNS]
    return f"| {_title(name, report)} | " + " | ".join(cells) + " |"


def _title(name: str, report: Mapping[str, Any]) -> str:
    system = report["systems"][name]
    return f"{system['title']} {system['version']}" if "configuration" in system else str(system["title"])


def _notes(report: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    systems = report["systems"]
    memory = ", ".join(
        f"{_title(name, report)} {systems[name]['rss_mb']:.0f}" for name in shown if systems[name]["rss_mb"]
    )
    invented = ", ".join(f"{_title(name, report)} {systems[name]['hallucinated_words']}" for name in shown)
    settings = [
        f"- {_title(name, report)}{_configuration(systems[name])}: {_settings(systems[name])}"
        for name in systems
        if name != OFFLINE
    ]
    return [
        f"Memory, MB: {memory}. Words invented on non-speech: {invented}. "
        f"Failures: {len(report['failures'])}.",
        "",
        "Settings (of two configurations the better one is shown: the lower mean final latency among those "
        "whose WER is within half a point of the lower one):",
        "",
        *settings,
        "",
        "Could not be measured:",
        "",
        *(f"- {name}: {reason}" for name, reason in report["unavailable"].items()),
        "",
        "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in report["signature"].items()) + ".",
    ]


def _configuration(system: Figures) -> str:
    return f", {system['configuration']}" if "configuration" in system else ""


def _settings(system: Figures) -> str:
    latency, wer = system["final_latency_s"]["mean"], system["wer"]
    values = ", ".join(f"{key} {value}" for key, value in system["settings"].items())
    return f"{values} (WER {cell(wer, 'percent')}, final mean {cell(latency, 's')})"

"""The reports of ``rtstt bench faults`` and ``rtstt bench soak`` as tables between markers of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rtstt_lab.lab.bench.report import cell, write_between

FAULTS: Final = "rtstt bench faults"
SOAK: Final = "rtstt bench soak"


def write_faults(path: Path, report: Mapping[str, Any]) -> None:
    """Puts `faults_markdown` between its markers; raises as `write_between`."""
    write_between(path, f"<!-- {FAULTS} -->", f"<!-- /{FAULTS} -->", faults_markdown(report))


def write_soak(path: Path, report: Mapping[str, Any]) -> None:
    """Puts `soak_markdown` between its markers; raises as `write_between`."""
    write_between(path, f"<!-- {SOAK} -->", f"<!-- /{SOAK} -->", soak_markdown(report))


def faults_markdown(report: Mapping[str, Any]) -> str:
    """A line a kind, the losses of all, and what failed."""
    rows = [
        [
            f"`{kind}`",
            *(str(figures[name]) for name in ("n", "in_speech", "recovered", "failed")),
            *(cell(report["recovery_s"].get(kind, {}).get(name), "s") for name in ("p50", "p95", "max")),
        ]
        for kind, figures in report["faults"].items()
    ]
    head = ["fault", "n", "in speech", "recovered", "something lost", "recovery p50", "p95", "longest"]
    return "\n".join(
        [
            *_table(head, rows),
            "",
            _losses(report),
            "",
            *(_failure(row) for row in report["failed"]),
            *([""] if report["failed"] else []),
            _signature(report),
        ]
    )


def soak_markdown(report: Mapping[str, Any]) -> str:
    """What there was at the first rest and at the last, and how memory grew between."""
    first, last, memory = report["first"], report["last"], report["memory"]
    rows = [[name.replace("_", " "), str(first[name]), str(last[name])] for name in first]
    rows.append(["memory", cell(memory["first_mb"], "MB"), cell(memory["last_mb"], "MB")])
    slopes = (
        f"{cell(memory[f'slope_mb_per_{unit}'], 'MB')} {article} {unit} "
        f"({' to '.join(cell(end, '') for end in memory[f'slope_mb_per_{unit}_interval'] or [None, None])})"
        for article, unit in (("an", "hour"), ("a", "session"))
    )
    return "\n".join(
        [
            *_table(["at rest", "first", "last"], rows),
            "",
            f"{report['session_s'] / 3600:.2f} hours of session time in {report['sessions']} sessions and "
            f"{report['wall_s'] / 60:.0f} minutes, {report['reconnections']} reconnections. Memory grew by "
            f"{', '.join(slopes)}. Chunks lost: {report['lost_chunks']}; sessions that failed: "
            f"{len(report['failures'])}.",
            "",
            _signature(report),
        ]
    )


def _losses(report: Mapping[str, Any]) -> str:
    clean = report["clean"]
    interval = " to ".join(cell(end, "points") for end in report["wer_delta_interval"] or [None, None])
    return (
        f"{report['faults_total']} faults, {cell(report['in_speech'], 'percent')} of them while somebody "
        f"spoke, in {len(report['sessions'])} sessions, {clean['sessions']} of which without any. "
        f"Chunks lost: {report['lost_chunks']}; samples of difference between captured and recognised: "
        f"{report['lost_samples']}; ledgers that do not balance: {report['unbalanced']}. "
        f"Words in stretches of two or more within 3 s of a fault: {report['lost_words']} missing, "
        f"{report['repeated_words']} repeated (in the sessions without faults: {clean['lost_words']} and "
        f"{clean['repeated_words']}). WER {cell(report['wer'], 'percent')}, without faults "
        f"{cell(report['wer_clean'], 'percent')}: {cell(report['wer_delta'], 'points')} points ({interval}). "
        f"Sessions that ended before their time: {len(report['broken'])}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _failure(row: Mapping[str, Any]) -> str:
    what = [f"missing “{words}”" for words in row["missing"]]
    what += [f"repeated “{words}”" for words in row["repeated"]]
    what += [f"{row['chunks']} chunks"] if row["chunks"] else []
    what += ["no recovery"] if row["recovered_s"] is None else []
    where = f"`{row['kind']}` at {cell(row['at_s'], 's')} of {row['recording']} (seed {row['seed']})"
    return f"- {where}: {', '.join(what)}"


def _signature(report: Mapping[str, Any]) -> str:
    parts = (f"{key.replace('_', ' ')}: {value}" for key, value in report["signature"].items())
    return "; ".join(parts) + "."

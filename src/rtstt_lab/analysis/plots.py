"""Pictures of runs: every function draws on an Axes and gives it back; labels in English or Spanish.

The 2 s goal and the 3 s warning line stand on each latency picture (M1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rtstt_lab.analysis.comparison import bars, comparison
from rtstt_lab.analysis.runs import Run
from rtstt_lab.analysis.style import (
    FAINT,
    OUTAGE,
    WARNING,
    axes_or_new,
    canvas,
    colour_of,
    latency_lines,
    styled,
)
from rtstt_lab.texts import text

__all__ = [
    "bars",
    "canvas",
    "chunks_over_time",
    "comparison",
    "confidence_over_time",
    "held_audio",
    "latency_lines",
    "latency_over_time",
    "shade_outages",
    "story",
]


def story(runs: Iterable[Run], *, language: str = "en", labels: Sequence[str] = ()) -> Figure:
    """Latency, waiting audio and confidence under each other, over one axis of time.

    Args:
        runs: of one recording, under different conditions.
        language: of the labels, ``en`` or ``es``.
        labels: one a run; its id where there is none.
    """
    runs = list(runs)
    figure: Figure
    figure, axes = canvas(3, sharex=True)
    for draw, ax in zip((latency_over_time, chunks_over_time, confidence_over_time), axes, strict=True):
        draw(runs, ax, language=language, labels=labels)
    return figure


def shade_outages(ax: Axes, runs: Iterable[Run], language: str = "en") -> None:
    """Shades the time in which the link was cut, once for all runs that share it."""
    label: str | None = text("plots.outage", language)
    for start_s, end_s in sorted({outage for run in runs for outage in run.outages}):
        ax.axvspan(start_s, end_s, color=OUTAGE, alpha=0.55, linewidth=0, zorder=0.5, label=label)
        label = None


@styled
def latency_over_time(
    runs: Iterable[Run], ax: Axes | None = None, *, language: str = "en", labels: Sequence[str] = ()
) -> Axes:
    """Final latency of every word, at the time when it was spoken.

    Args:
        runs: one colour and one marker each; outages are shaded for all of them.
        ax: a new one if None.
        language: of the labels, ``en`` or ``es``.
        labels: one a run; its id where there is none.
    """
    ax, runs = axes_or_new(ax), list(runs)
    for number, run in enumerate(runs):
        words = run.word_latencies()
        at_s = words["emission_s"] - words["latency_s"]
        ax.plot(at_s, words["latency_s"], color=colour_of(number), linewidth=1, alpha=0.45)
        ax.scatter(
            at_s,
            words["latency_s"],
            s=20,
            marker="os^D"[number % 4],
            color=colour_of(number),
            edgecolor="white",
            linewidth=0.5,
            label=_label(run, labels, number),
            zorder=3,
        )
    shade_outages(ax, runs, language)
    latency_lines(ax, language)
    ax.set_ylabel(text("plots.latency", language))
    return _finish(ax, "word_latency", language)


@styled
def chunks_over_time(
    runs: Iterable[Run], ax: Axes | None = None, *, language: str = "en", labels: Sequence[str] = ()
) -> Axes:
    """Audio that waits at the client, chunks that were lost, and the ledger in words.

    Args:
        runs: one colour each.
        ax: a new one if None.
        language: of the labels.
        labels: one a run; its id where there is none.
    """
    ax, runs = axes_or_new(ax), list(runs)
    ledgers = []
    for number, run in enumerate(runs):
        times, held_s = held_audio(run.tables["chunks"])
        ax.step(times, held_s, where="post", color=colour_of(number), label=_label(run, labels, number))
        ax.fill_between(times, held_s, step="post", color=colour_of(number), alpha=0.12, linewidth=0)
        lost = run.tables["chunks"].query("fate == 'lost'")
        if len(lost):
            ends = lost["captured_s"] + lost["duration_s"]
            ax.scatter(
                ends,
                np.zeros(len(lost)),
                marker="x",
                color=WARNING,
                label=text("plots.lost", language),
                zorder=4,
            )
        balance = text("plots.ledger", language, **asdict(run.ledger))
        ledgers.append(f"{_label(run, labels, number)}: {balance}")
    shade_outages(ax, runs, language)
    ax.set_ylabel(text("plots.held", language))
    ax.set_ylim(0, max(1.0, ax.get_ylim()[1]))
    ax.annotate(
        "\n".join(ledgers),
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 6),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=FAINT,
    )
    return _finish(ax, "chunks", language)


def held_audio(chunks: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds of audio captured and not yet accepted, as steps: (times, values after them).

    Chunks that were accepted within their own duration are on their way and not waiting; they are left out.
    """
    ends = chunks["captured_s"] + chunks["duration_s"]
    span = pd.Series(0.0, index=[0.0, max(ends.max(), chunks["accepted_s"].max())] if len(chunks) else [0.0])
    late = ~(chunks["accepted_s"] - ends <= chunks["duration_s"])
    chunks, captured = chunks[late], ends[late]
    gone = chunks["accepted_s"].dropna()
    changes = (
        pd.concat(
            [
                span,
                pd.Series(chunks["duration_s"].to_numpy(), index=captured.to_numpy()),
                pd.Series(-chunks.loc[gone.index, "duration_s"].to_numpy(), index=gone.to_numpy()),
            ]
        )
        .groupby(level=0)
        .sum()
    )
    return changes.index.to_numpy(float), np.clip(changes.cumsum().to_numpy(float), 0, None)


@styled
def confidence_over_time(
    runs: Iterable[Run], ax: Axes | None = None, *, language: str = "en", labels: Sequence[str] = ()
) -> Axes:
    """Each word's probability, and the mean of each segment as a line over its time.

    Args:
        runs: one colour and one marker each.
        ax: a new one if None.
        language: of the labels.
        labels: one a run; its id where there is none.
    """
    ax, runs = axes_or_new(ax), list(runs)
    for number, run in enumerate(runs):
        words = run.tables["words"]
        ax.scatter(
            (words["start_s"] + words["end_s"]) / 2,
            words["probability"],
            s=14,
            marker="os^D"[number % 4],
            color=colour_of(number),
            alpha=0.35,
            linewidth=0,
        )
        means = words.groupby("segment").agg(
            start_s=("start_s", "min"), end_s=("end_s", "max"), mean=("probability", "mean")
        )
        label = f"{_label(run, labels, number)}: {text('plots.segment_mean', language)}"
        for start_s, end_s, mean in means.to_numpy(float):
            ax.plot(
                [start_s, end_s],
                [mean, mean],
                color=colour_of(number),
                linewidth=2.4,
                solid_capstyle="round",
                label=label,
            )
            label = "_nolegend_"
    shade_outages(ax, runs, language)
    ax.set(ylabel=text("plots.probability", language), ylim=(0, 1.03))
    return _finish(ax, "confidence", language, "lower right")


def _label(run: Run, labels: Sequence[str], number: int) -> str:
    return labels[number] if number < len(labels) else run.id


def _finish(
    ax: Axes, title: str, language: str, legend: Literal["upper left", "lower right"] = "upper left"
) -> Axes:
    ax.set_title(text(f"plots.{title}", language))
    ax.margins(x=0.01)
    ax.set_xlabel(text("plots.time", language))
    if ax.get_subplotspec() is not None and len(ax.get_shared_x_axes().get_siblings(ax)) > 1:
        ax.label_outer()
    handles, labels = ax.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    if len(known) > 1:
        ax.legend(list(known.values()), list(known), loc=legend, ncols=3)
    return ax

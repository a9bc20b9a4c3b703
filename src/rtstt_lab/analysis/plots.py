"""Pictures of runs: every function draws on an Axes and gives it back; labels in English or Spanish.

The 2 s goal and the 3 s warning line stand on each latency picture (M1). Colours are those of Okabe and Ito,
which people with colour-blindness can tell apart, and no meaning hangs on colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, Final, Literal, TypeVar, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rtstt_lab.analysis.metrics import GOAL_S, WARNING_S
from rtstt_lab.analysis.runs import Run
from rtstt_lab.texts import text

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_INK, _FAINT, _GRID = "#2b2f36", "#6d737d", "#e4e6ea"
_GOAL, _WARNING, _OUTAGE = "#009E73", "#D55E00", "#d9c9c4"

_STYLE: Final[Any] = {
    "figure.facecolor": "#fcfcfb",
    "axes.facecolor": "#fcfcfb",
    "savefig.facecolor": "#fcfcfb",
    "figure.dpi": 110,
    "font.size": 9.5,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": "#c3c7ce",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


_BEHIND: Final[Any] = {"facecolor": "#fcfcfb", "edgecolor": "none", "pad": 0.8}

_Drawing = TypeVar("_Drawing", bound=Callable[..., Any])


def _styled(draw: _Drawing) -> _Drawing:
    """Titles and lines take their look when they are made, so every function runs inside the style."""

    @wraps(draw)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return cast("_Drawing", inside)


@_styled
def canvas(rows: int = 1, columns: int = 1, *, width: float = 9.5, height: float = 2.7, **kwargs: Any) -> Any:
    """A figure in the house's look.

    Args:
        rows: of axes.
        columns: of axes.
        width: of the figure, inches.
        height: of each row, inches.
        kwargs: for ``matplotlib.pyplot.subplots``.

    Returns:
        (Figure, one Axes or an array of them), as ``subplots`` gives it.
    """
    return plt.subplots(
        rows, columns, figsize=(width, height * rows), layout="constrained", squeeze=True, **kwargs
    )


def _axes(ax: Axes | None) -> Axes:
    return canvas()[1] if ax is None else ax


def latency_lines(ax: Axes, language: str = "en", *, horizontal: bool = True) -> None:
    """Draws the 2 s goal and the 3 s warning line, and makes room for both."""
    for seconds, colour, key in ((GOAL_S, _GOAL, "goal"), (WARNING_S, _WARNING, "warning")):
        label = text(f"plots.{key}", language, seconds=seconds)
        line = ax.axhline if horizontal else ax.axvline
        line(seconds, color=colour, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1.5)
        if horizontal:
            place: dict[str, Any] = {"xy": (1, seconds), "xycoords": ("axes fraction", "data"), "ha": "right"}
            offset = (-2, 2)
        else:
            place = {"xy": (seconds, 0), "xycoords": ("data", "axes fraction"), "rotation": 90, "ha": "right"}
            offset = (-1, 3)
        ax.annotate(
            label, xytext=offset, textcoords="offset points", va="bottom", fontsize=8, color=colour, **place
        )
    limits = ax.get_ylim() if horizontal else ax.get_xlim()
    (ax.set_ylim if horizontal else ax.set_xlim)(0, max(limits[1], WARNING_S * 1.2))


def shade_outages(ax: Axes, run: Run, language: str = "en") -> None:
    """Shades the time in which the link was cut."""
    for number, (start_s, end_s) in enumerate(run.outages):
        label = text("plots.outage", language) if number == 0 else None
        ax.axvspan(start_s, end_s, color=_OUTAGE, alpha=0.55, linewidth=0, zorder=0.5, label=label)


@_styled
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
    ax = _axes(ax)
    for number, run in enumerate(runs):
        words = run.word_latencies()
        at_s = words["emission_s"] - words["latency_s"]
        ax.plot(at_s, words["latency_s"], color=_colour(number), linewidth=1, alpha=0.45)
        ax.scatter(
            at_s,
            words["latency_s"],
            s=20,
            marker="os^D"[number % 4],
            color=_colour(number),
            edgecolor="white",
            linewidth=0.5,
            label=_label(run, labels, number),
            zorder=3,
        )
        shade_outages(ax, run, language)
    latency_lines(ax, language)
    ax.set_ylabel(text("plots.latency", language))
    return _finish(ax, "word_latency", language)


@_styled
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
    ax = _axes(ax)
    ledgers = []
    for number, run in enumerate(runs):
        times, held_s = held_audio(run.tables["chunks"])
        ax.step(times, held_s, where="post", color=_colour(number), label=_label(run, labels, number))
        ax.fill_between(times, held_s, step="post", color=_colour(number), alpha=0.12, linewidth=0)
        lost = run.tables["chunks"].query("fate == 'lost'")
        if len(lost):
            ends = lost["captured_s"] + lost["duration_s"]
            ax.scatter(
                ends,
                np.zeros(len(lost)),
                marker="x",
                color=_WARNING,
                label=text("plots.lost", language),
                zorder=4,
            )
        shade_outages(ax, run, language)
        balance = text("plots.ledger", language, **asdict(run.ledger))
        ledgers.append(f"{_label(run, labels, number)}: {balance}")
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
        color=_FAINT,
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


@_styled
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
    ax = _axes(ax)
    for number, run in enumerate(runs):
        words = run.tables["words"]
        ax.scatter(
            (words["start_s"] + words["end_s"]) / 2,
            words["probability"],
            s=14,
            marker="os^D"[number % 4],
            color=_colour(number),
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
                color=_colour(number),
                linewidth=2.4,
                solid_capstyle="round",
                label=label,
            )
            label = "_nolegend_"
        shade_outages(ax, run, language)
    ax.set(ylabel=text("plots.probability", language), ylim=(0, 1.03))
    return _finish(ax, "confidence", language, "lower right")


@_styled
def comparison(scores: pd.DataFrame, *, language: str = "en") -> Figure:
    """Word error rate, final latency, confidence and CPU side by side, one bar a system.

    Args:
        scores: indexed by the system's name; ``model`` (one colour each), ``mode`` (``streaming`` filled),
        ``wer``, ``latency_mean_s``, ``latency_p95_s`` (missing for offline),
            ``confidence``, ``cpu_per_audio_s``; ``wer_low``, ``wer_high``, ``latency_low_s``,
            ``latency_high_s`` where an interval is known.
        language: of the labels.
    """
    height = 0.55 + 0.42 * len(scores)
    figure: Figure
    figure, axes = canvas(2, 2, height=max(1.5, height), width=9.5)
    bars(axes[0, 0], scores, "wer", "wer", language=language, scale=100, interval=("wer_low", "wer_high"))
    bars(
        axes[0, 1],
        scores,
        "latency_mean_s",
        "final_latency",
        language=language,
        mark="latency_p95_s",
        interval=("latency_low_s", "latency_high_s"),
    )
    latency_lines(axes[0, 1], language, horizontal=False)
    bars(axes[1, 0], scores, "confidence", "mean_confidence", language=language)
    axes[1, 0].set_xlim(0, 1)
    bars(axes[1, 1], scores, "cpu_per_audio_s", "cpu", language=language)
    for ax in axes[:, 1]:
        ax.set_yticklabels([])
    return figure


@_styled
def bars(
    ax: Axes,
    scores: pd.DataFrame,
    column: str,
    title: str,
    *,
    language: str = "en",
    scale: float = 1.0,
    interval: tuple[str, str] | None = None,
    mark: str | None = None,
) -> Axes:
    """Horizontal bars of one figure, its value written at the end of each.

    Args:
        ax: to draw on.
        scores: indexed by system; ``model`` and ``mode`` beside the figure.
        column: the figure.
        title: key of ``texts/*/plots.json``.
        language: of the labels.
        scale: what values are multiplied with.
        interval: columns of the interval's ends, drawn where they are known.
        mark: column of a second figure (p95), drawn as a tick.
    """
    at = np.arange(len(scores))[::-1]
    values = scores[column].to_numpy(float) * scale
    models = list(dict.fromkeys(scores["model"]))
    for y, value, model, mode in zip(at, values, scores["model"], scores["mode"], strict=True):
        colour = _colour(models.index(model))
        streaming = mode == "streaming"
        ax.barh(
            y,
            np.nan_to_num(value),
            height=0.58,
            facecolor=colour if streaming else (colour, 0.25),
            edgecolor=colour,
            hatch=None if streaming else "////",
            linewidth=0.8,
        )
    reach = values.copy()
    if interval and set(interval) <= set(scores.columns):
        low, high = (scores[name].to_numpy(float) * scale for name in interval)
        ax.hlines(at, low, high, color=_INK, linewidth=1.2)
        reach = np.fmax(reach, high)
    if mark:
        marks = scores[mark].to_numpy(float) * scale
        ax.scatter(marks, at, marker="|", s=170, linewidth=2, color=_INK, zorder=4)
        reach = np.fmax(reach, marks)
    for y, value, end in zip(at, values, np.nan_to_num(reach), strict=True):
        label = "–" if np.isnan(value) else f"{value:.2f}" if scale == 1 else f"{value:.1f}"
        ax.annotate(
            label, (end, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9, bbox=_BEHIND
        )
    ax.set_yticks(at, scores.index)
    ax.tick_params(axis="y", labelcolor=_INK)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.14)
    ax.set_xlim(left=0)
    ax.set_title(text(f"plots.{title}", language))
    return ax


def _label(run: Run, labels: Sequence[str], number: int) -> str:
    return labels[number] if number < len(labels) else run.id


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


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

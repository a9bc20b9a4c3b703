"""Systems side by side: one bar each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rtstt_lab.analysis.style import BEHIND, INK, canvas, colour_of, latency_lines, styled
from rtstt_lab.texts import text


@styled
def comparison(scores: pd.DataFrame, *, language: str = "en") -> Figure:
    """Word error rate, final latency, confidence and CPU side by side, one bar a system.

    Args:
        scores: indexed by the system's name; ``model`` (one colour each), ``mode`` (``streaming`` filled),
            ``wer``, ``latency_mean_s``, ``latency_p95_s`` (missing for offline), ``confidence``,
            ``cpu_per_audio_s``; ``wer_low``, ``wer_high``, ``latency_low_s``, ``latency_high_s`` where known.
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


@styled
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
        if np.isnan(value):
            continue
        colour = colour_of(models.index(model))
        streaming = mode == "streaming"
        ax.barh(
            y,
            value,
            height=0.58,
            facecolor=colour if streaming else (colour, 0.25),
            edgecolor=colour,
            hatch=None if streaming else "////",
            linewidth=0.8,
        )
    reach = values.copy()
    if interval and set(interval) <= set(scores.columns):
        low, high = (scores[name].to_numpy(float) * scale for name in interval)
        ax.hlines(at, low, high, color=INK, linewidth=1.2)
        reach = np.fmax(reach, high)
    if mark:
        marks = scores[mark].to_numpy(float) * scale
        ax.scatter(marks, at, marker="|", s=170, linewidth=2, color=INK, zorder=4)
        reach = np.fmax(reach, marks)
    for y, value, end in zip(at, values, np.nan_to_num(reach), strict=True):
        label = "–" if np.isnan(value) else f"{value:.2f}" if scale == 1 else f"{value:.1f}"
        ax.annotate(
            label, (end, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9, bbox=BEHIND
        )
    ax.set_yticks(at, scores.index)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.14)
    ax.set_xlim(left=0)
    ax.set_ylim(-0.5, len(scores) - 0.5)
    ax.set_title(text(f"plots.{title}", language), pad=16)
    return ax

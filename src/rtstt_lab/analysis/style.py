"""How pictures look, and the lines that stand on each latency picture.

Colours are those of Okabe and Ito, which people with colour-blindness can tell apart, and no meaning hangs on
colour alone. The ground is opaque, so that a picture reads the same on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from rtstt_lab.analysis.metrics import GOAL_S, WARNING_S
from rtstt_lab.texts import text

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
INK, FAINT, _GRID = "#2b2f36", "#6d737d", "#e4e6ea"
GOAL, WARNING, OUTAGE = "#009E73", "#D55E00", "#d9c9c4"

_STYLE: Final[Any] = {
    "figure.facecolor": "#fcfcfb",
    "axes.facecolor": "#fcfcfb",
    "savefig.facecolor": "#fcfcfb",
    "figure.dpi": 110,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": FAINT,
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
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


BEHIND: Final[Any] = {"facecolor": "#fcfcfb", "edgecolor": "none", "pad": 0.8}

_Drawing = TypeVar("_Drawing", bound=Callable[..., Any])


def styled(draw: _Drawing) -> _Drawing:
    """Titles and lines take their look when they are made, so every function runs inside the style."""

    @wraps(draw)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return cast("_Drawing", inside)


@styled
def canvas(rows: int = 1, columns: int = 1, *, width: float = 9.5, height: float = 2.7, **kwargs: Any) -> Any:
    """A figure in the house's look.

    Args:
        rows: of axes.
        columns: of axes.
        width: of the figure, inches.
        height: of each row, inches.
        kwargs: for ``matplotlib.pyplot.subplots``.

    Returns:
        (Figure, one Axes or an array of them), as ``subplots`` gives it; pyplot keeps no hold of it.
    """
    made = plt.subplots(
        rows, columns, figsize=(width, height * rows), layout="constrained", squeeze=True, **kwargs
    )
    plt.close(made[0])  # a notebook shows what a cell returns, and nothing twice
    return made


def axes_or_new(ax: Axes | None) -> Axes:
    """The given axes, or those of a figure of their own."""
    return canvas()[1] if ax is None else ax


def latency_lines(ax: Axes, language: str = "en", *, horizontal: bool = True) -> None:
    """Draws the 2 s goal and the 3 s warning line, and makes room for both."""
    for seconds, colour, key in ((GOAL_S, GOAL, "goal"), (WARNING_S, WARNING, "warning")):
        label = text(f"plots.{key}", language, seconds=seconds)
        line = ax.axhline if horizontal else ax.axvline
        line(seconds, color=colour, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1.5)
        if horizontal:
            place: dict[str, Any] = {"xy": (1, seconds), "xycoords": ("axes fraction", "data"), "ha": "right"}
            offset = (-2, 2)
        else:
            place = {"xy": (seconds, 1), "xycoords": ("data", "axes fraction"), "ha": "center"}
            offset = (0, 1)
        ax.annotate(
            label, xytext=offset, textcoords="offset points", va="bottom", fontsize=8, color=colour, **place
        )
    limits = ax.get_ylim() if horizontal else ax.get_xlim()
    (ax.set_ylim if horizontal else ax.set_xlim)(0, max(limits[1], WARNING_S * 1.2))


def colour_of(number: int) -> str:
    """The palette, again and again."""
    return PALETTE[number % len(PALETTE)]

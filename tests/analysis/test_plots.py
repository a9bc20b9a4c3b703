"""Pictures: what must be on each, in both languages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from rtstt_lab.analysis import plots
from rtstt_lab.analysis.runs import Run
from rtstt_lab.texts import text


def levels(ax: plt.Axes) -> set[float]:
    """Where horizontal or vertical lines stand."""
    return {
        float(data[0])
        for line in ax.lines
        for data in (line.get_ydata(), line.get_xdata())
        if len(set(data)) == 1
    }


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


@pytest.mark.requirement("M1", "U1")
@pytest.mark.parametrize("language", ["en", "es"])
def test_latency_pictures_carry_goal_and_warning(clean: Run, interrupted: Run, language: str) -> None:
    """The 2 s and the 3 s line stand on latency over time and on the comparison, labelled in the language."""
    ax = plots.latency_over_time([clean, interrupted], language=language)
    assert {2.0, 3.0} <= levels(ax)
    assert ax.get_ylim()[1] > 3
    written = [note.get_text() for note in ax.texts]
    assert written == [
        text("plots.goal", language, seconds=2.0),
        text("plots.warning", language, seconds=3.0),
    ]
    figure = plots.comparison(SCORES, language=language)
    assert {2.0, 3.0} <= levels(figure.axes[1])
    assert figure.axes[0].get_title(loc="left") == text("plots.wer", language)


SCORES = pd.DataFrame(
    {
        "model": ["a", "a"],
        "mode": ["streaming", "offline"],
        "wer": [0.1, 0.05],
        "wer_low": [0.05, np.nan],
        "wer_high": [0.2, np.nan],
        "latency_mean_s": [1.0, np.nan],
        "latency_p95_s": [1.5, np.nan],
        "confidence": [0.8, 0.9],
        "cpu_per_audio_s": [0.5, 0.1],
    },
    index=["a · streaming", "a · offline"],
)


@pytest.mark.requirement("C5", "C6")
def test_comparison_names_every_system_and_value(clean: Run) -> None:
    """Every system has a bar and its number; what does not exist is a dash, not a zero."""
    figure = plots.comparison(SCORES)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "a · streaming",
        "a · offline",
    ]
    values = [note.get_text() for note in figure.axes[1].texts]
    assert values[:2] == ["1.00", "–"]
    assert [note.get_text() for note in figure.axes[0].texts] == ["10.0", "5.0"]


@pytest.mark.requirement("C6")
def test_waiting_audio_is_what_was_held(clean: Run, interrupted: Run) -> None:
    """Nothing waits on a clean link; on a cut one the audio said meanwhile does, until it is accepted."""
    assert plots.held_audio(clean.tables["chunks"])[1].max() == 0
    times, held_s = plots.held_audio(interrupted.tables["chunks"])
    assert held_s.max() == pytest.approx(2.0)
    assert held_s[-1] == 0
    assert times[int(held_s.argmax())] == pytest.approx(2.5)
    ax = plots.chunks_over_time([interrupted], labels=["with cuts"])
    assert "with cuts: 8 chunks = 8 accepted + 0 lost + 0 held · 8 transmissions" in ax.texts[0].get_text()


@pytest.mark.requirement("C6", "M3")
def test_confidence_over_time_shows_words_and_segments(clean: Run) -> None:
    """One dot a word, one line a segment, at the probabilities that the words have."""
    ax = plots.confidence_over_time([clean])
    heights = ax.collections[0].get_offsets()[:, 1]
    assert list(heights) == pytest.approx(clean.tables["words"]["probability"].tolist())
    assert len(ax.lines) == 6


def test_outages_are_shaded_once(interrupted: Run) -> None:
    """The cut is drawn as a band from its beginning to its end."""
    ax = plots.latency_over_time([interrupted, interrupted])
    assert len(ax.patches) == 1
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((1.0, 3.4))

"""Draws the windows that the recognizer decodes while a shipped recording is played to it.

``python scripts/draw_window.py`` writes ``docs/images/window.svg``. Computing takes no time here: each window
is drawn at the time when its newest sample has been spoken.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtstt_lab.analysis.style import FAINT, canvas, colour_of, styled
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder, WindowDecode
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Samples

ROOT = Path(__file__).parent.parent
CHUNK = SAMPLE_RATE_HZ // 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """One decode: its window, whether it settles, and how far words were promised after it."""

    start_s: float
    end_s: float
    thorough: bool
    promised_s: float


class Watched(WhisperDecoder):
    """Notes each window."""

    def decode_window(self, samples: Samples, *, start_s: float, **how: Any) -> WindowDecode:
        """See `WhisperDecoder.decode_window`."""
        self.window = start_s, start_s + len(samples) / SAMPLE_RATE_HZ, bool(how.get("thorough"))
        return super().decode_window(samples, start_s=start_s, **how)


def watch(recording_id: str, seconds: float) -> list[Drawn]:
    """Plays the beginning of a recording to a recognizer."""
    recording = Corpus.shipped()[recording_id]
    samples = load_audio(recording)[: round(seconds * SAMPLE_RATE_HZ)]
    decoder = Watched.load(ModelStore().resolve("base"))
    assert isinstance(decoder, Watched)  # noqa: S101 - `load` makes what it is called on
    decoder.warm_up()
    recognizer = StreamingRecognizer(decoder, language=recording.language)
    drawn: list[Drawn] = []
    promised_s = 0.0
    for start in range(0, len(samples), CHUNK):
        recognizer.accept_audio(samples[start : start + CHUNK])
        while recognizer.wants_step:
            decoder.window = (0.0, 0.0, False)
            results = recognizer.step()
            promised = [
                word
                for result in results
                for word in (result.words if isinstance(result, Final) else result.words[: result.committed])
            ]
            promised_s = max([promised_s, *(word.end_s for word in promised)])
            if decoder.window[1]:
                drawn.append(Drawn(*decoder.window, promised_s))
    return drawn


@styled
def draw(windows: list[Drawn], path: Path) -> None:
    """Time of the decode to the right, time in the recording upwards."""
    figure, ax = canvas(height=4.2)
    for thorough, label in ((False, "running decode"), (True, "settling decode")):
        own = [window for window in windows if window.thorough == thorough]
        ax.vlines(
            [window.end_s for window in own],
            [window.start_s for window in own],
            [window.end_s for window in own],
            color=colour_of(1 if thorough else 4),
            linewidth=4,
            linestyle="solid",
            label=f"window of a {label}",
        )
    ends_s = [window.end_s for window in windows]
    ax.step(
        ends_s,
        [window.promised_s for window in windows],
        where="post",
        color=colour_of(0),
        label="end of the last committed word",
    )
    ax.plot([0, ends_s[-1]], [0, ends_s[-1]], color=FAINT, linestyle=":", label="newest audio")
    ax.set(
        title="What each decode hears",
        xlabel="time of the decode, s",
        ylabel="time in the recording, s",
        xlim=(0, ends_s[-1] + 0.3),
        ylim=(0, None),
    )
    ax.legend(loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Plays and draws."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recording", default="en_laboratory")
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/window.svg")
    asked = parser.parse_args()
    draw(watch(asked.recording, asked.seconds), asked.out)


if __name__ == "__main__":
    main()

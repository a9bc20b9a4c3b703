"""What a window costs and how right it is, by its length and by the encoded silence behind it.

``python -m benchmarks.windows --manifest FILE.csv --json windows.json --picture docs/images/windows.svg``

Recordings are cut between words, in their longest pauses, into windows of at most a given length. What was
said in each is known: the words of the reference whose times (`ReferenceTimes`) lie inside. Each window is
decoded by itself, without prompt, so the figures are those of one decode and not of a stream. Lengths are
compared at the tail that streaming uses and at real padding to 30 s (what plain Whisper does); tails at one
length.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from rtstt_lab.analysis.style import FAINT, canvas, colour_of, styled
from rtstt_lab.analysis.wer import error_rate, normalizer, word_errors
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.selection import kind_of
from rtstt_lab.lab.signature import machine, package_version
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.whisper import DecoderOptions, WhisperDecoder
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

LENGTHS_S: Final = (2.0, 4.0, 6.0, 8.0, 12.0, 20.0, 28.0)
TAILS: Final = (0, 100, 200, 400, 800, 1500)
PADDED: Final = None
"""Instead of a tail: the audio is padded to 30 s before it is encoded."""

_TAIL: Final = DecoderOptions().tail_positions
_TAILS_AT_S: Final = 6.0
_PADDED_AT_S: Final = (4.0, 6.0, 12.0, 28.0)
_LONGEST_S: Final = 30.0
_LONGEST_RECORDING_S: Final = 100.0
_MARGIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech and the words of the reference that lie in it."""

    samples: Samples
    reference: str
    language: str

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decode of one window.

    Attributes:
        language: that was spoken.
        length_s: the most that windows of its kind are long.
        tail: positions of encoded silence, or `PADDED`.
        duration_s: how long this one is.
        cpu_s: of encoder, decoder and alignment.
        tokens: decoded.
        looped: a repetition was cut off.
        bounded: the bound on the tokens was met.
        reference: what was said.
        text: what was recognised.
    """

    language: str
    length_s: float
    tail: int | None
    duration_s: float
    cpu_s: float
    tokens: int
    looped: bool
    bounded: bool
    reference: str
    text: str


def cuts(words: pd.DataFrame, length_s: float) -> list[tuple[float, float, str]]:
    """Start, end and text of consecutive windows, none longer than asked, each ending in a long pause.

    Args:
        words: ``word``, ``start_s``, ``end_s``.
        length_s: the most.
    """
    found, first = [], 0
    starts, ends = words["start_s"].to_numpy(), words["end_s"].to_numpy()
    margins_s = np.append(np.clip((starts[1:] - ends[:-1]) / 2, 0.0, _MARGIN_S), _MARGIN_S)
    while first < len(words):
        from_s = starts[first] - (margins_s[first - 1] if first else min(_MARGIN_S, starts[0]))
        fitting = int(np.searchsorted(ends, from_s + length_s - _MARGIN_S, side="right"))
        last = max(first + 1, fitting)
        if last < len(words):  # the longest pause of the later half
            earliest = max(first + 1, int(np.searchsorted(ends, from_s + length_s / 2)))
            last = max(range(min(earliest, last), last + 1), key=lambda n: (starts[n] - ends[n - 1], n))
        until_s = ends[last - 1] + margins_s[last - 1]
        found.append((float(from_s), float(until_s), " ".join(words["word"].iloc[first:last])))
        first = last
    return found


def chosen(corpus: Corpus, budget_s: float) -> Iterator[tuple[Recording, float]]:
    """Recordings and how much of each: the longest first, up to 30 s of one, so much of each language.

    Aligning a recording of some minutes would take longer than decoding its windows; those are left out.
    """
    left_s: dict[str, float] = {}
    for recording in sorted(corpus, key=lambda one: (-one.duration_s, one.id)):
        left = left_s.get(recording.language, budget_s)
        taken_s = min(recording.duration_s, _LONGEST_S, left)
        usable = kind_of(recording) == "speech" and recording.duration_s <= _LONGEST_RECORDING_S
        if usable and taken_s >= min(_TAILS_AT_S / 2, recording.duration_s):
            left_s[recording.language] = left - taken_s
            yield recording, taken_s


def windows(recording: Recording, words: pd.DataFrame, until_s: float, length_s: float) -> list[Window]:
    """A recording's windows of a length."""
    samples = load_audio(recording)
    return [
        Window(
            samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)],
            text,
            recording.language,
        )
        for start_s, end_s, text in cuts(words[words["end_s"] <= until_s], length_s)
    ]


def decode(decoder: WhisperDecoder, window: Window, length_s: float, tail: int | None, beam: int) -> Decoded:
    """Decodes one window on this thread and counts its CPU seconds."""
    began_s = time.process_time()
    result = decoder.decode_window(
        window.samples, start_s=0.0, language=window.language, beam_size=beam, thorough=False
    )
    return Decoded(
        window.language,
        length_s,
        tail,
        window.duration_s,
        time.process_time() - began_s,
        result.tokens,
        result.looped,
        result.bounded,
        window.reference,
        "".join(word.text for word in result.hypothesis.words),
    )


def summary(decodes: Sequence[Decoded]) -> dict[str, Any]:
    """WER, cost, loops and met bounds, pooled."""
    rng = np.random.default_rng(0)
    errors = [word_errors(d.reference, d.text, normalizer(d.language)) for d in decodes]
    rate = error_rate(errors, "", rng)
    cpu_s = sum(d.cpu_s for d in decodes)
    return {
        "windows": len(decodes),
        "mean_s": round(float(np.mean([d.duration_s for d in decodes])), 2),
        "wer": round(rate.pooled.value, 4),
        "wer_interval": [round(rate.pooled.low, 4), round(rate.pooled.high, 4)],
        "deletions": round(rate.deletions, 4),
        "insertions": round(rate.insertions, 4),
        "cpu_per_window_s": round(cpu_s / len(decodes), 4),
        "cpu_per_audio_s": round(cpu_s / sum(d.duration_s for d in decodes), 4),
        "looped": round(float(np.mean([d.looped for d in decodes])), 4),
        "bounded": round(float(np.mean([d.bounded for d in decodes])), 4),
    }


def token_rates(decodes: Sequence[Decoded]) -> dict[str, Any]:
    """Tokens of windows that neither looped nor met the bound.

    Returns:
        ``p50``, ``p99``, ``max``: tokens per second of windows of 2 s and more; ``over``: the most tokens
        that any window had beyond 10, per second of its length, which is what a bound of ``10 + rate × s``
        has to allow.
    """
    sound = [d for d in decodes if not (d.looped or d.bounded)]
    rates = [d.tokens / d.duration_s for d in sound if d.duration_s >= 2.0]
    if not rates:
        return {"windows": 0}
    p50, p99 = np.quantile(rates, [0.5, 0.99])
    return {
        "windows": len(rates),
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "max": round(max(rates), 2),
        "over": round(max((d.tokens - 10) / d.duration_s for d in sound), 2),
    }


def report(decodes: Sequence[Decoded], signature: dict[str, Any]) -> dict[str, Any]:
    """All curves, pooled over languages and each, with the tokens per second of each language."""
    languages = sorted({d.language for d in decodes})
    kinds = sorted(
        {(d.length_s, d.tail) for d in decodes},
        key=lambda kind: (kind[0], np.inf if kind[1] is PADDED else kind[1]),
    )
    curves = [
        {"length_s": length_s, "tail": tail, **summary(same), "by_language": _each(same)}
        for length_s, tail in kinds
        if (same := [d for d in decodes if (d.length_s, d.tail) == (length_s, tail)])
    ]
    tokens = {language: token_rates([d for d in decodes if d.language == language]) for language in languages}
    return {"curves": curves, "tokens_per_s": tokens, "signature": signature}


def _each(decodes: Sequence[Decoded]) -> dict[str, Any]:
    by_language: dict[str, list[Decoded]] = {}
    for one in decodes:
        by_language.setdefault(one.language, []).append(one)
    return {language: summary(own) for language, own in sorted(by_language.items())}


@styled
def draw(curves: Sequence[dict[str, Any]], path: Path) -> None:
    """WER above, CPU below; against the length on the left, against the tail on the right."""
    figure, axes = canvas(2, 2, height=2.9, sharex="col", sharey="row")
    by_length = [
        (f"tail of {_TAIL} positions", _TAIL, 0, "-", "o"),
        ("padded to 30 s", PADDED, 1, "--", "s"),
    ]
    for label, tail, number, line, marker in by_length:
        own = [c for c in curves if c["tail"] == tail]
        for ax, key, scale in ((axes[0, 0], "wer", 100), (axes[1, 0], "cpu_per_audio_s", 1)):
            ax.plot(
                [c["length_s"] for c in own],
                [scale * c[key] for c in own],
                linestyle=line,
                marker=marker,
                color=colour_of(number),
                label=label,
            )
    tails = [c for c in curves if c["length_s"] == _TAILS_AT_S]
    drawn = [c for c in tails if c["tail"] is not PADDED]
    for ax, key, scale in ((axes[0, 1], "wer", 100), (axes[1, 1], "cpu_per_audio_s", 1)):
        ax.plot(
            [c["tail"] for c in drawn],
            [scale * c[key] for c in drawn],
            marker="o",
            color=colour_of(0),
            label=f"windows of at most {_TAILS_AT_S:g} s",
        )
        for padded in (c for c in tails if c["tail"] is PADDED):
            ax.axhline(scale * padded[key], linestyle="--", color=colour_of(1), label="padded to 30 s")
    axes[0, 0].set(title="Word error rate", ylabel="WER, %", ylim=(0, None))
    axes[1, 0].set(title="Cost", ylabel="CPU s per s of audio", xlabel="longest window, s", ylim=(0, None))
    axes[1, 1].set(xlabel="silence tail, positions of 20 ms")
    for ax in axes[0]:
        ax.legend()
    figure.text(0.99, 0.99, "each window alone, no prompt", ha="right", va="top", fontsize=8, color=FAINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def measure(corpus: Corpus, model: str, budget_s: float, beam: int) -> dict[str, Any]:
    """Decodes every window in every way."""
    store = ModelStore()
    times, local = ReferenceTimes(store), store.resolve(model)
    decoder = WhisperDecoder.load(local)
    decoder.warm_up()
    ways: list[tuple[float, int | None]] = [(length_s, _TAIL) for length_s in LENGTHS_S]
    ways += [(length_s, PADDED) for length_s in _PADDED_AT_S]
    ways += [(_TAILS_AT_S, tail) for tail in TAILS if tail != _TAIL]
    decoders = {tail: decoder.with_tail(tail) for _, tail in ways}
    decodes, used = [], []
    for recording, until_s in chosen(corpus, budget_s):
        words, began_s = times.of(recording), time.process_time()
        used.append(recording.id)
        for length_s, tail in ways:
            decodes += [
                decode(decoders[tail], window, length_s, tail, beam)
                for window in windows(recording, words, until_s, length_s)
            ]
        print(f"{recording.language} {recording.id}: {time.process_time() - began_s:.1f} CPU s", flush=True)
    signature = {
        "corpus": f"{len(used)} recordings, {corpus.filter(ids=used).hash[:12]}",
        "seconds_of_a_language": budget_s,
        "model": f"{local.name} {local.sha256[:12]}, {decoder.compute_type}",
        "options": asdict(DecoderOptions()),
        "beam": beam,
        "reference": times.name,
        "version": package_version(),
        "machine": machine(),
    }
    return report(decodes, signature)


def main() -> None:
    """Measures, writes the JSON and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, help="default: RTSTT_CORPUS, else the shipped recordings")
    parser.add_argument("--model", default="base")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--languages", default="", help="of those that write spaces; default: all")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each language")
    parser.add_argument("--json", type=Path, required=True, help="the report; with --redraw it is read")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--redraw", action="store_true", help="draw a report that is there")
    asked = parser.parse_args()
    if not asked.redraw:
        corpus = Corpus.folder(asked.manifest) if asked.manifest else None
        corpus = corpus or Corpus.from_environment(os.environ) or Corpus.shipped()
        wanted = set(filter(None, asked.languages.split(",")))
        if wanted:
            corpus = Corpus(recording for recording in corpus if recording.language in wanted)
        measured = measure(corpus, asked.model, asked.seconds, asked.beam)
        write_atomically(asked.json, json.dumps(measured, ensure_ascii=False, indent=2) + "\n")
    if asked.picture:
        draw(json.loads(asked.json.read_text("utf-8"))["curves"], asked.picture)


if __name__ == "__main__":
    main()

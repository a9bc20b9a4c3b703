"""What an hour was like: how it ended, and by ten minutes how late, how dear and how right it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from benchmarks.hour.playing import Plan, Played, Turn
from rtstt_lab.analysis.drift import trend
from rtstt_lab.analysis.hallucination import LONGEST_LOOP
from rtstt_lab.analysis.metrics import Reading, Signature, word_latencies
from rtstt_lab.analysis.wer import Errors, error_rate, normalizer, word_errors
from rtstt_lab.client.sources import CHUNK_MS, real_time
from rtstt_lab.lab.bench.report import cell
from rtstt_lab.lab.signature import machine, package_version, policy_of
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.types import SAMPLE_RATE_HZ

BLOCK_S: Final = 600
STEADY_FROM_S: Final = 600
"""Before, what is kept is still growing to the size that it keeps."""


def report(played: Played) -> dict[str, Any]:
    """All figures, as JSON; ``docs/benchmarks.md`` says what each key means."""
    result, summary = played.result, played.result.summary
    taken_s = _taken_s(played)
    finals = [final.text for final in result.finals]
    return {
        "audio_s": _number(taken_s, 3),
        "lost_s": _number(taken_s - summary.duration_s, 3) if summary else None,
        "ledger": asdict(result.ledger),
        "warned_s": _number(played.warned_s),
        "ended_s": _number(played.ended_s),
        "ended_by": played.ended_by,
        "complete": summary is not None and summary.complete,
        "error": str(result.error) if result.error else None,
        "saved": [
            {"file": name, "bytes": len(text.encode()), "whole": _body(text) == finals}
            for name, text in played.saved.items()
        ],
        "finals": len(finals),
        "words": len(result.words),
        "restarts": played.restarts,
        "memory": _memory(played),
        "blocks": _blocks(played),
    }


def _taken_s(played: Played) -> float:
    """Audio that the server took; what was on its way when the limit was met is left over."""
    chunks = played.result.tables["chunks"]
    return float(chunks.loc[chunks["fate"] == "accepted", "bytes"].sum()) / (2 * SAMPLE_RATE_HZ)


def _body(transcript: str) -> list[str]:
    return transcript.partition("\n\n")[2].splitlines()


def _memory(played: Played) -> dict[str, Any]:
    """Of the server's process tree, by minutes of audio."""
    told = played.result.tables["resources"]
    samples = pd.DataFrame([asdict(sample) for sample in played.samples]).dropna()
    minute = np.interp(samples["at_s"], told["at_s"], told["audio_s"]) // 60
    minutes = samples.groupby(minute.astype(int))["rss_mb"].agg(["median", "max"])
    steady = minutes["median"][minutes.index >= STEADY_FROM_S // 60]
    by_hour = trend(np.column_stack([steady.index / 60, steady]), np.random.default_rng(0))
    return {
        "median_mb": _number(minutes["median"].median()),
        "max_mb": _number(minutes["max"].max()),
        "slope_mb_per_hour": _number(by_hour.value),
        "slope_mb_per_hour_interval": [_number(by_hour.low), _number(by_hour.high)],
        "by_minute": {str(at): [_number(value) for value in row] for at, *row in minutes.itertuples()},
    }


def _blocks(played: Played) -> list[dict[str, Any]]:
    """The figures of each ten minutes of audio; a rest shorter than half of that belongs to the last."""
    result, errors = played.result, _errors(played)
    told, words, chunks = (result.tables[name] for name in ("resources", "words", "chunks"))
    end_s = _taken_s(played)
    count = max(1, int(end_s / BLOCK_S + 0.5))
    edges_s = [*range(0, count * BLOCK_S, BLOCK_S), end_s]
    cpu_s = np.interp(edges_s, told["audio_s"], told["process_cpu_s"])
    readings: Mapping[str, Reading] = {"final_latency_s": "emitted", "first_shown_latency_s": "shown"}
    latencies = {key: word_latencies(words, chunks, reading=each) for key, each in readings.items()}

    def block_of(at_s: ArrayLike) -> NDArray[np.int64]:
        blocks: NDArray[np.int64] = (np.asarray(at_s, float) // BLOCK_S).astype(np.int64)
        return blocks.clip(max=count - 1)

    final_blocks = block_of([final.words[0].start_s for final in result.finals])
    error_blocks = block_of([turn.start_s for turn, *_ in errors])
    return [
        {
            "from_s": edges_s[number],
            "to_s": _number(edges_s[number + 1]),
            "cpu_per_audio_s": _number(cost_s / (edges_s[number + 1] - edges_s[number]), 4),
            "finals": int((final_blocks == number).sum()),
            **{
                key: _quantiles(rows.loc[block_of(rows["end_s"]) == number, "latency_s"])
                for key, rows in latencies.items()
            },
            **_said([own for own, at in zip(errors, error_blocks, strict=True) if at == number]),
        }
        for number, cost_s in enumerate(np.diff(cpu_s))
    ]


def _quantiles(values: pd.Series[float]) -> dict[str, Any]:
    return {
        "n": len(values),
        "mean": _number(float(values.mean())),
        **{f"p{share}": _number(float(values.quantile(share / 100))) for share in (50, 95)},
    }


def _errors(played: Played) -> list[tuple[Turn, Errors, int]]:
    """Of every recording that was played to its end: its word errors, and words that stand twice."""
    words, end_s = played.result.tables["words"], _taken_s(played)
    middles_s = (words["start_s"] + words["end_s"]) / 2
    found = []
    for turn in played.turns:
        if turn.end_s <= end_s:
            said = "".join(words.loc[(middles_s >= turn.start_s) & (middles_s < turn.end_s), "word"])
            reference, normalize = turn.recording.reference, normalizer(turn.recording.language)
            doubled = [twice(normalize(text).split()) for text in (said, reference)]
            found.append((turn, word_errors(reference, said, normalize), max(0, doubled[0] - doubled[1])))
    return found


def _said(errors: Sequence[tuple[Turn, Errors, int]]) -> dict[str, Any]:
    rate = error_rate([own for _, own, _ in errors], "", np.random.default_rng(0))
    return {
        "recordings": len(errors),
        "wer": _number(rate.pooled.value, 4),
        "deletions": _number(rate.deletions, 4),
        "repeated_words": sum(repeated for *_, repeated in errors),
    }


def twice(words: Sequence[str]) -> int:
    """How many words lie in stretches, of two words or more, that follow themselves at once.

    Args:
        words: normalised, since a stretch may come back with other punctuation.
    """
    count = at = 0
    while at < len(words):
        lengths = range(min(LONGEST_LOOP, (len(words) - at) // 2), 1, -1)
        length = next((n for n in lengths if words[at : at + n] == words[at + n : at + 2 * n]), 0)
        count += length
        at += length or 1
    return count


def _number(value: float | None, digits: int = 2) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), digits)


def signature(plan: Plan) -> Signature:
    """Under which conditions the plan is measured."""
    language = plan.language
    return Signature(
        corpus=f"{len(plan.corpus)} recordings {plan.corpus.hash[:12]}, {language}, again and again",
        normalizer=normalizer(language).name,
        model=f"{plan.model.name} {plan.model.sha256[:12]}",
        policy=policy_of(RecognizerSettings()),
        chunk_ms=CHUNK_MS,
        network="WebSocket, loopback",
        clock="real-time" if plan.pace is real_time else "as fast as the server takes it",
        word_times="the recognizer's own",
        version=package_version(),
        machine=machine(),
    )


def markdown(measured: Mapping[str, Any]) -> str:
    """A line each ten minutes, how it ended, and memory."""
    head = ["minutes", "final p50", "p95", "shown p50", "p95", "CPU", "WER", "said twice", "finals"]
    rows = [
        [
            f"{block['from_s'] / 60:.0f}–{block['to_s'] / 60:.0f}",
            *(
                cell(block[key][share], "s")
                for key in ("final_latency_s", "first_shown_latency_s")
                for share in ("p50", "p95")
            ),
            cell(block["cpu_per_audio_s"], "s/s"),
            cell(block["wer"], "percent"),
            str(block["repeated_words"]),
            str(block["finals"]),
        ]
        for block in measured["blocks"]
    ]
    memory, ledger = measured["memory"], measured["ledger"]
    interval = " to ".join(cell(end, "") for end in memory["slope_mb_per_hour_interval"])
    saved = ", ".join(
        f"{each['bytes']} bytes, {'whole' if each['whole'] else 'not whole'}" for each in measured["saved"]
    )
    return "\n".join(
        [
            "| " + " | ".join(head) + " |",
            "|---" + "|---:" * (len(head) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
            f"{cell(measured['audio_s'], 's')} of audio in {ledger['captured']} chunks; chunks lost: "
            f"{ledger['captured'] - ledger['accepted']}; difference between taken and recognised: "
            f"{cell(measured['lost_s'], 's')}. Warned at {cell(measured['warned_s'], 's')}, ended at "
            f"{cell(measured['ended_s'], 's')} (`{measured['ended_by']}`), "
            f"{'complete' if measured['complete'] else 'not complete'}; saved: {saved or 'nothing'}.",
            "",
            f"Memory of the server's processes: median {cell(memory['median_mb'], 'MB')}, at most "
            f"{cell(memory['max_mb'], 'MB')}; from minute {STEADY_FROM_S // 60} on it grew by "
            f"{cell(memory['slope_mb_per_hour'], 'MB')} an hour ({interval}).",
            "",
            "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in measured["signature"].items())
            + ".",
        ]
    )

"""A transcript in the five forms that are asked for."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rtstt_lab.errors import UsageError
from rtstt_lab.texts import text
from rtstt_lab.transcript.model import Transcript
from rtstt_lab.transcript.subtitles import Cue, cues
from rtstt_lab.types import Final as FinalSegment


def render(transcript: Transcript, format: str, language_ui: str = "en") -> str:  # noqa: A002 - as REST names it
    """Writes a transcript out.

    Args:
        transcript: what to write.
        format: one of `FORMATS`.
        language_ui: of the headings, ``en`` or ``es``; only ``txt`` has any.

    Raises:
        UsageError: a format that there is not.
    """
    if format not in FORMATS:
        raise UsageError("transcript_format", format=format[:40], known=", ".join(FORMATS))
    return FORMATS[format](transcript, language_ui)


def _txt(transcript: Transcript, language_ui: str) -> str:
    latency_s = transcript.mean_latency_s
    unknown = text("transcript.unknown", language_ui)
    values = {
        "started": transcript.started_at.isoformat(sep=" ", timespec="seconds"),
        "duration": f"{transcript.duration_s:.1f} s",
        "latency": unknown if latency_s is None else f"{latency_s:.2f} s",
        "model": transcript.model,
        "language": transcript.language or unknown,
        "state": text(f"transcript.{'complete' if transcript.complete else 'incomplete'}", language_ui),
        "session": transcript.session_id,
    }
    header = "".join(
        f"{text(f'transcript.{name}', language_ui)}: {' '.join(value.split())}\n"
        for name, value in values.items()
    )
    return f"{header}\n{transcript.text}\n" if transcript.finals else f"{header}\n"


def _json(transcript: Transcript, _language_ui: str) -> str:
    return json.dumps(
        {
            "session_id": transcript.session_id,
            "started_at": transcript.started_at.isoformat(),
            "duration_s": round(transcript.duration_s, 3),
            "mean_latency_s": transcript.mean_latency_s,
            "model": transcript.model,
            "language": transcript.language,
            "complete": transcript.complete,
            "text": transcript.text,
            "segments": [_segment(final) for final in transcript.finals],
        },
        ensure_ascii=False,
        indent=2,
        allow_nan=False,
    )


def _segment(final: FinalSegment) -> dict[str, object]:
    confidence = final.confidence
    return {
        "segment": final.segment,
        "start_s": round(final.words[0].start_s, 3),
        "end_s": round(final.words[-1].end_s, 3),
        "text": final.text,
        "language": final.language,
        "confidence": None if math.isnan(confidence) else round(confidence, 4),
        "words": [
            {
                "word": word.text,
                "start_s": round(word.start_s, 3),
                "end_s": round(word.end_s, 3),
                "probability": round(word.probability, 4),
            }
            for word in final.words
        ],
    }


def _srt(transcript: Transcript, _language_ui: str) -> str:
    return "\n".join(
        f"{number}\n{_span(cue, ',')}\n" + "".join(f"{line.replace('-->', '→')}\n" for line in cue.lines)
        for number, cue in enumerate(_cues(transcript), start=1)
    )


def _vtt(transcript: Transcript, _language_ui: str) -> str:
    return "WEBVTT\n" + "".join(
        f"\n{_span(cue, '.')}\n" + "".join(f"{_escape(line)}\n" for line in cue.lines)
        for cue in _cues(transcript)
    )


def _csv(transcript: Transcript, _language_ui: str) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["segment", "word", "start_s", "end_s", "probability"])
    for final in transcript.finals:
        for word in final.words:
            row = [final.segment, word.text.strip(), f"{word.start_s:.3f}", f"{word.end_s:.3f}"]
            writer.writerow([*row, f"{word.probability:.4f}"])
    return sink.getvalue()


FORMATS: Final[Mapping[str, Callable[[Transcript, str], str]]] = MappingProxyType(
    {"txt": _txt, "json": _json, "srt": _srt, "vtt": _vtt, "csv": _csv}
)


def _cues(transcript: Transcript) -> list[Cue]:
    return cues(final.words for final in transcript.finals)


def _span(cue: Cue, point: str) -> str:
    return f"{_time(cue.start_s, point)} --> {_time(cue.end_s, point)}"


def _time(time_s: float, point: str) -> str:
    seconds, ms = divmod(round(time_s * 1000), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _escape(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

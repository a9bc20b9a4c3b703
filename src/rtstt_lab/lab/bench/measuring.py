"""What every benchmark does with its systems: plays recordings to them, and turns what they heard to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from rtstt_lab.errors import RtsttError
from rtstt_lab.lab.bench import figures
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.heard import System
from rtstt_lab.lab.bench.reference import ReferenceTimes
from rtstt_lab.lab.bench.selection import HEADLINE_LANGUAGES, Kind, kind_of
from rtstt_lab.replay.corpus import Corpus, Recording, load_audio


def references_of(
    corpus: Corpus, times: ReferenceTimes
) -> tuple[dict[str, pd.DataFrame], list[dict[str, str]]]:
    """Times of the words of every recording of speech; those that could not be had, as failures."""
    references, failures = {}, []
    for recording in corpus:
        if kind_of(recording) == "nonspeech":
            continue
        try:
            references[recording.id] = times.of(recording)
        except RtsttError as error:
            failures.append({"id": recording.id, "system": "reference times", "error": str(error)})
    return references, failures


def reference_times(times: ReferenceTimes) -> dict[str, Any]:
    """Which aligner gave the references their times, and its bias, as JSON."""
    return {
        "aligner": times.name,
        "bias_s": {
            language: {name: asdict(bias) for name, bias in times.bias(language).items()}
            for language in HEADLINE_LANGUAGES
        },
    }


def languages_of(corpus: Corpus) -> list[str]:
    """Those in which something is said."""
    return sorted({recording.language for recording in corpus if kind_of(recording) == "speech"})


def hear(system: System, recording: Recording) -> Clip:
    """One recording through one system; a failure of the system is a clip without words."""
    language = None if kind_of(recording) == "nonspeech" else recording.language
    try:
        return Clip(recording, system.hear(load_audio(recording), language))
    except RtsttError as error:
        return Clip(recording, None, str(error))


def failures_of(clips: Mapping[str, Sequence[Clip]]) -> list[dict[str, str]]:
    """Which system failed at which recording, and why, as JSON."""
    return [
        {"id": clip.recording.id, "system": name, "error": clip.failure}
        for name, heard in clips.items()
        for clip in heard
        if clip.failure
    ]


def system_figures(
    clips: Sequence[Clip], references: figures.References, languages: Sequence[str]
) -> dict[str, Any]:
    """All figures of one system, as JSON: the headline languages together, each language, the rest apart."""
    nonspeech = figures.nonspeech_figures(_of_kind(clips, "nonspeech"))
    return {
        **figures.speech_figures(_of_kind(clips, "speech", HEADLINE_LANGUAGES), references),
        "loops": sum(clip.loops for clip in clips),
        "hallucinated_words": nonspeech["hallucinated_words"],
        "rss_mb": figures.rss_mb(clips),
        "by_language": {
            language: figures.speech_figures(_of_kind(clips, "speech", [language]), references)
            for language in languages
        },
        "digits": figures.digit_figures(_of_kind(clips, "digits"), references),
        "nonspeech": nonspeech,
    }


def ratios(ours: Sequence[Clip], theirs: Sequence[Clip], languages: Sequence[str]) -> dict[str, Any]:
    """One system against another on the same recordings in the same order, as JSON."""

    def compared(chosen: Sequence[str]) -> dict[str, Any]:
        return figures.compare(_of_kind(ours, "speech", chosen), _of_kind(theirs, "speech", chosen))

    return {
        **compared(HEADLINE_LANGUAGES),
        "by_language": {language: compared([language]) for language in languages},
    }


def clip_rows(clips: Mapping[str, Sequence[Clip]], references: figures.References) -> list[dict[str, Any]]:
    """Each recording with what every system made of it, as JSON."""
    return [
        _clip_row(dict(zip(clips, row, strict=True)), references) for row in zip(*clips.values(), strict=True)
    ]


def _clip_row(clips: Mapping[str, Clip], references: figures.References) -> dict[str, Any]:
    recording = next(iter(clips.values())).recording
    return {
        "id": recording.id,
        "language": recording.language,
        "category": recording.category,
        "kind": kind_of(recording),
        "duration_s": recording.duration_s,
        "reference": recording.reference,
        **{name: figures.clip_figures(clip, references) for name, clip in clips.items()},
    }


def _of_kind(clips: Sequence[Clip], kind: Kind, languages: Sequence[str] | None = None) -> list[Clip]:
    return [
        clip
        for clip in clips
        if kind_of(clip.recording) == kind and (languages is None or clip.recording.language in languages)
    ]

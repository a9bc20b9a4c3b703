"""What the recognizer decoded of each recording, kept: one file of JSON lines a recording.

The first line says of what and under which conditions; each other line is a `Decoded`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from rtstt_lab.errors import StorageError
from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.signature import policy_of
from rtstt_lab.recognition.promises import Decoded
from rtstt_lab.recognition.rescoring import decoded_of, row_of
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Recording

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class DecodeLog:
    """One recording's.

    Attributes:
        conditions: policy and settings that it was made under, for people.
        settings: the same, for `rescore`; the policy is not kept.
        decoded: in order.
    """

    conditions: str
    settings: RecognizerSettings
    decoded: tuple[Decoded, ...]


def write_decodes(folder: Path, clip: Clip, settings: RecognizerSettings) -> None:
    """Keeps what the recognizer decoded of a recording; what failed leaves nothing.

    Raises:
        StorageError: the folder cannot be written.
    """
    if clip.heard is None:
        return
    head = {
        "version": VERSION,
        "recording": clip.recording.id,
        "audio": clip.recording.audio_hash(),
        "conditions": policy_of(settings),
        "settings": {name: getattr(settings, name) for name in _plain()},
    }
    rows = [head, *map(row_of, clip.heard.decoded)]
    path = _path(folder, clip.recording)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    except OSError as error:
        raise StorageError("bench_file", path=str(path), reason=error.strerror or str(error)) from error


def has_decodes(folder: Path, recording: Recording) -> bool:
    """Whether something is kept of this recording."""
    return _path(folder, recording).is_file()


def read_decodes(folder: Path, recording: Recording) -> DecodeLog:
    """What was kept.

    Raises:
        StorageError: the file cannot be read, or is of another audio or of another version.
    """
    path = _path(folder, recording)
    try:
        head, *rows = map(json.loads, filter(None, path.read_text("utf-8").split("\n")))
        _check(head, recording)
        settings = replace(RecognizerSettings(), **head["settings"])
        return DecodeLog(head["conditions"], settings, tuple(map(decoded_of, rows)))
    except OSError as error:
        raise StorageError("bench_file", path=str(path), reason=error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError("bench_log", path=str(path), reason=str(error)) from error


def _check(head: Mapping[str, Any], recording: Recording) -> None:
    for key, wanted in (("version", VERSION), ("audio", recording.audio_hash())):
        if head[key] != wanted:
            raise ValueError(f"{key}: {head[key]}, not {wanted}")


def _path(folder: Path, recording: Recording) -> Path:
    return folder / f"{recording.id}.jsonl"


def _plain() -> list[str]:
    default: Any = RecognizerSettings()
    return [f.name for f in fields(default) if isinstance(getattr(default, f.name), (int, float))]

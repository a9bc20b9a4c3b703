"""The folder of transcripts: each file whole or not there, none overwritten, the history read from them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final
from uuid import uuid4

from rtstt_lab.errors import StorageError
from rtstt_lab.texts import LANGUAGES, text
from rtstt_lab.transcript.model import Transcript
from rtstt_lab.transcript.render import render

_NAME: Final = re.compile(r"transcripcion_\d{8}_\d{6}(_\d+)?\.txt")
_STEM: Final = re.compile(r"transcripcion_\d{8}_\d{6}")
_FIELDS: Final = ("started", "duration", "latency", "model", "language", "state", "session")
_MAX_HEADER_CHARACTERS: Final = 4_096
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class TranscriptHeader:
    """What a saved transcript says of itself; fields as in `Transcript`.

    Attributes:
        file: where it lies.
    """

    file: Path
    session_id: str
    started_at: datetime
    duration_s: float
    mean_latency_s: float | None
    model: str
    language: str | None
    complete: bool


def save(transcript: Transcript, folder: Path, language_ui: str = "en") -> Path:
    """Writes ``transcripcion_YYYYMMDD_HHMMSS[_n].txt`` (D3), whole or not at all, beside the others.

    Args:
        transcript: its start names the file; a second one of the same second gets ``_2``, and so on.
        folder: made if it is not there.
        language_ui: of the headings, ``en`` or ``es``.

    Returns:
        The file.

    Raises:
        StorageError: the folder cannot be made or written, or the disk is full; nothing is left behind then.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".transcripcion_{uuid4().hex}.tmp"
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as sink:  # noqa: PTH123 - a descriptor
                sink.write(render(transcript, "txt", language_ui))
                sink.flush()
                os.fsync(sink.fileno())
            return _publish(fresh, folder, f"transcripcion_{transcript.started_at:%Y%m%d_%H%M%S}")
        finally:
            fresh.unlink(missing_ok=True)


def supersede(file: Path, session_id: str) -> None:
    """Removes what was saved of the same session before: one that went on after that is saved again.

    Args:
        file: the newest.
        session_id: whose it is; others of the same second stay.
    """
    stem = _STEM.match(file.name)
    for other in file.parent.glob(f"{stem[0]}*.txt") if stem else ():
        if other != file and (header := _read_header(other)) and header.session_id == session_id:
            with suppress(OSError):  # then there are two of them, and the history shows both
                other.unlink()


def remove(file: Path) -> None:
    """Deletes a transcript; one that is not there is deleted already.

    Raises:
        StorageError: it can't be.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError("transcript_delete", path=file, reason=error.strerror or error) from error


def history(folder: Path) -> list[TranscriptHeader]:
    """The headers of a folder's transcripts, newest first; other files are passed over.

    Raises:
        StorageError: the folder is there and cannot be read.
    """
    try:
        files = [file for file in folder.iterdir() if _NAME.fullmatch(file.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError("transcript_unreadable", path=folder, reason=error.strerror or error) from error
    headers = [header for file in files if (header := _read_header(file))]
    return sorted(headers, key=lambda header: (header.started_at, header.file.name), reverse=True)


def _publish(fresh: Path, folder: Path, stem: str) -> Path:
    """A hard link fails where a name is taken, and makes the whole file appear at once."""
    for number in count(1):
        target = folder / (f"{stem}.txt" if number == 1 else f"{stem}_{number}.txt")
        try:
            os.link(fresh, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno in _FULL:
                raise
            if not _claim(target):
                continue
            fresh.replace(target)
        return target
    raise AssertionError("count() does not end")


def _claim(target: Path) -> bool:
    """Without hard links (FAT, some network folders) an empty file holds the name for the rename."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        key = "transcript_disk_full" if error.errno in _FULL else "transcript_folder"
        raise StorageError(key, path=folder, reason=error.strerror or error) from error


@cache
def _labels() -> Mapping[str, str]:
    return {text(f"transcript.{field}", language): field for language in LANGUAGES for field in _FIELDS}


def _read_header(file: Path) -> TranscriptHeader | None:
    try:
        with file.open(encoding="utf-8") as source:
            lines = source.read(_MAX_HEADER_CHARACTERS).split("\n\n", 1)[0].splitlines()
        values = {
            field: value
            for label, _, value in (line.partition(": ") for line in lines)
            if (field := _labels().get(label))
        }
        latency, language = values["latency"], values["language"]
        return TranscriptHeader(
            file=file,
            session_id=values["session"],
            started_at=_moment(values["started"]),
            duration_s=float(values["duration"].removesuffix(" s")),
            mean_latency_s=None if _says(latency, "unknown") else float(latency.removesuffix(" s")),
            model=values["model"],
            language=None if _says(language, "unknown") else language,
            complete=_says(values["state"], "complete"),
        )
    except (OSError, UnicodeError, KeyError, ValueError):
        return None


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:  # not ours, and not to be compared with ours
        raise ValueError(value)
    return moment


def _says(value: str, key: str) -> bool:
    return any(value == text(f"transcript.{key}", language) for language in LANGUAGES)

"""Corpora: recordings with reference texts, to replay and to measure on."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from rtstt_lab.errors import CorpusError
from rtstt_lab.replay import download
from rtstt_lab.replay.recording import Recording, Timing, load_audio, timings_of
from rtstt_lab.replay.registry import Archive, load_registry

__all__ = ["Archive", "Corpus", "Recording", "Timing", "load_audio", "timings_of"]

MANIFEST_COLUMNS: Final = (
    "id", "file", "language", "speaker", "duration_s", "reference", "source", "licence", "category",
)  # fmt: skip
WORDS: Final = "words"
"""The category of the clips of single words: they are for latency, and say nothing about word error rates."""


class Corpus:
    """Recordings in a fixed order, each found by its id.

    Args:
        recordings: with ids that differ.

    Raises:
        CorpusError: for an id that occurs twice.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._recordings: dict[str, Recording] = {}
        for recording in recordings:
            if recording.id in self._recordings:
                raise CorpusError("corpus_id_twice", id=recording.id)
            self._recordings[recording.id] = recording

    @classmethod
    def shipped(cls, language: str | None = None) -> Corpus:
        """The recordings that every installation has: this package's own and those of packages beside it.

        Which they are does not depend on the machine; one whose package is absent says so when it is read.

        Args:
            language: ISO 639-1 code; ``None`` for all.
        """
        every = load_registry().recordings
        return cls(each for each in every if each.category != WORDS).filter(language=language)

    @classmethod
    def words(cls, language: str | None = None) -> Corpus:
        """The clips of single words at exactly known times (`timings_of`), for checks of latency."""
        return cls(load_registry().recordings).filter(language=language, category=WORDS)

    @classmethod
    def folder(cls, path: Path | str) -> Corpus:
        """A folder with a ``manifest.csv`` of the columns `MANIFEST_COLUMNS`; ``reference`` may be empty.

        Args:
            path: of the folder, or of a manifest of another name; files are found from where it lies.

        Raises:
            CorpusError: no manifest, or one that lacks a column, a value or a file, or names an id twice.
        """
        path = Path(path)
        return cls(_read_manifest(path if path.is_file() else path / "manifest.csv"))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Corpus | None:
        """The folder that ``RTSTT_CORPUS`` names; ``None`` where it names none.

        Args:
            environ: usually ``os.environ``.
        """
        folder = environ.get("RTSTT_CORPUS")
        return cls.folder(folder) if folder else None

    @classmethod
    def download(cls, archive_id: str, *, cache: Path | None = None, progress: bool = False) -> Corpus:
        """A corpus from its publisher's address: downloaded at the first call, from the cache afterwards.

        Args:
            archive_id: one of `downloadable`.
            cache: folder for archives; default the user's cache directory.
            progress: draw a progress bar on stderr.

        Raises:
            CorpusError: unknown, not to be had, or not the published bytes.
        """
        archives = {archive.id: archive for archive in cls.downloadable()}
        if archive_id not in archives:
            raise CorpusError("corpus_unknown", id=archive_id, known=", ".join(archives))
        return cls(download.download(archives[archive_id], cache=cache, progress=progress))

    @staticmethod
    def downloadable() -> tuple[Archive, ...]:
        """What `download` can bring, with size, language and licence."""
        return load_registry().archives

    def filter(
        self,
        *,
        language: str | None = None,
        category: str | None = None,
        ids: Collection[str] | None = None,
    ) -> Corpus:
        """The recordings that meet every condition given, in their order here.

        Raises:
            CorpusError: for one of ``ids`` that is not in this corpus.
        """
        chosen = list(self) if ids is None else [self[each] for each in ids]
        wanted = {recording.id for recording in chosen}
        return Corpus(
            recording
            for recording in self
            if recording.id in wanted
            and language in (None, recording.language)
            and category in (None, recording.category)
        )

    @property
    def hash(self) -> str:
        """SHA-256 over ids and audio, independent of order and place: part of an experiment's signature."""
        lines = sorted(f"{recording.id} {recording.audio_hash()}\n" for recording in self)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._recordings)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._recordings.values())

    def __contains__(self, recording_id: object) -> bool:
        return recording_id in self._recordings

    def __getitem__(self, recording_id: str) -> Recording:
        try:
            return self._recordings[recording_id]
        except KeyError as error:
            known = ", ".join(self._recordings)
            raise CorpusError("corpus_unknown", id=recording_id, known=known) from error

    def __repr__(self) -> str:
        seconds = math.fsum(recording.duration_s for recording in self)
        return f"Corpus({len(self)} recordings, {seconds:.1f} s: {', '.join(self._recordings)})"


def _read_manifest(manifest: Path) -> Iterator[Recording]:
    if not manifest.is_file():
        raise CorpusError("corpus_manifest_missing", path=str(manifest))
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [name for name in MANIFEST_COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise CorpusError("corpus_columns", path=str(manifest), columns=", ".join(missing))
            for row in table:
                yield _recording(row, manifest, table.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError("corpus_manifest_unreadable", path=str(manifest), reason=str(error)) from error


def _recording(row: Mapping[str, str | None], manifest: Path, line: int) -> Recording:
    def refuse(column: str) -> CorpusError:
        return CorpusError(
            "corpus_value", path=str(manifest), line=line, column=column, value=row[column] or ""
        )

    values = {column: (row[column] or "").strip() for column in MANIFEST_COLUMNS}
    for column in ("id", "file", "language"):
        if not values[column]:
            raise refuse(column)
    try:
        duration_s = float(values["duration_s"])
    except ValueError as error:
        raise refuse("duration_s") from error
    if not 0 < duration_s < math.inf:
        raise refuse("duration_s")
    try:
        path = (manifest.parent / values["file"]).resolve()
        found = path.is_file()
    except (OSError, ValueError) as error:  # no name of a file
        raise refuse("file") from error
    if not found:
        raise CorpusError("corpus_file_missing", id=values["id"], path=str(path))
    return Recording(
        id=values["id"],
        language=values["language"],
        reference=values["reference"],
        duration_s=duration_s,
        licence=values["licence"],
        source=values["source"],
        speaker=values["speaker"],
        category=values["category"],
        address=str(path),
    )

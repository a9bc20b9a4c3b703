"""Corpora from their publishers' addresses: downloaded once, hash-checked, unpacked in the user's cache."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import platformdirs
import pooch
import soundfile

from rtstt_lab.errors import CorpusError
from rtstt_lab.replay.recording import Recording, sha256_of
from rtstt_lab.replay.registry import Archive

Line: TypeAlias = tuple[Path, str, str, str]
"""Audio file, id, speaker, text."""


def download(archive: Archive, *, cache: Path | None = None, progress: bool = False) -> tuple[Recording, ...]:
    """Brings an archive here, unless it is here already, and lists what is in it.

    Args:
        archive: from the registry.
        cache: folder for archives; default the user's cache directory.
        progress: draw a progress bar on stderr.

    Raises:
        CorpusError: no network, other bytes than the published ones, or no recordings in them.
    """
    folder = _fetch(
        archive, (cache or platformdirs.user_cache_path("rtstt_lab") / "corpora") / archive.id, progress
    )
    recordings = tuple(
        Recording(
            id=name,
            language=archive.language,
            reference=text,
            duration_s=soundfile.info(path).duration,
            licence=archive.licence,
            source=archive.source,
            speaker=f"{archive.id} {speaker}",
            category="read",
            address=str(path),
        )
        for path, name, speaker, text in _LAYOUTS[archive.layout](folder)
        if path.is_file()
    )
    if not recordings:
        raise CorpusError("corpus_archive_empty", id=archive.id, path=str(folder))
    return recordings


def _fetch(archive: Archive, folder: Path, progress: bool) -> Path:
    name = archive.url.rpartition("/")[2]
    first_hash = folder / f"{name}.sha256"
    known = archive.sha256 or (first_hash.read_text("utf-8").strip() if first_hash.exists() else None)
    unpacked = folder / "unpacked"
    unpack = pooch.Unzip if name.endswith(".zip") else pooch.Untar
    try:
        pooch.retrieve(
            archive.url,
            known_hash=known and f"sha256:{known}",
            fname=name,
            path=folder,
            processor=unpack(extract_dir=unpacked.name),
            progressbar=progress,
        )
    except OSError as error:
        raise CorpusError("corpus_download", id=archive.id, url=archive.url, reason=str(error)) from error
    except ValueError as error:
        raise CorpusError(
            "corpus_archive_changed", id=archive.id, url=archive.url, path=str(folder)
        ) from error
    if known is None:
        first_hash.write_text(f"{sha256_of(folder / name)}\n", "utf-8")
    return unpacked


def _librispeech(folder: Path) -> Iterator[Line]:
    for transcript in sorted(folder.rglob("*.trans.txt")):
        for line in transcript.read_text("utf-8").splitlines():
            name, _, text = line.partition(" ")
            yield transcript.parent / f"{name}.flac", name, name.partition("-")[0], text


def _line_index(folder: Path) -> Iterator[Line]:
    for index in sorted(folder.rglob("line_index*.tsv")):
        with index.open(encoding="utf-8", newline="") as file:
            for name, text, *_ in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield index.parent / f"{name.strip()}.wav", name.strip(), name.split("_")[1], text.strip()


_LAYOUTS: Final[dict[str, Callable[[Path], Iterator[Line]]]] = {
    "librispeech": _librispeech,
    "line_index": _line_index,
}

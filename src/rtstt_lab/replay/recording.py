"""One recording: what was said in it, whose it is, and where its bytes lie."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from rtstt_lab.audio.files import read_samples
from rtstt_lab.errors import CorpusError
from rtstt_lab.types import Samples


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording and its reference text; pickles, so that experiments can run in other processes.

    Attributes:
        id: unique within its corpus.
        language: ISO 639-1 code.
        reference: what is said; empty where nobody wrote it down, or nothing is said.
        duration_s: length in seconds.
        licence: under which terms the audio may be used.
        source: where the audio comes from, for people.
        speaker: who speaks, as far as it is known.
        category: ``read``, ``spontaneous``, ``made`` (synthesised), ``words`` …; any other in a folder.
        address: where the bytes lie: ``data:<path>`` in this package, ``package:<name>==<version>:<path>`` in
            another one that is installed, or the path of a file.
        sha256: of the file; empty where none is published.
    """

    id: str
    language: str
    reference: str
    duration_s: float
    licence: str
    source: str
    speaker: str
    category: str
    address: str
    sha256: str = ""

    def path(self) -> Path:
        """The file, checked against its published hash.

        Raises:
            CorpusError: not here, or not the published bytes.
        """
        path = self._locate()
        if not path.is_file():
            raise CorpusError("corpus_file_missing", id=self.id, path=str(path))
        if self.sha256 and sha256_of(path) != self.sha256:
            raise CorpusError("corpus_file_changed", id=self.id, path=str(path))
        return path

    def audio_hash(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal."""
        return self.sha256 or sha256_of(self.path())

    def _locate(self) -> Path:
        scheme, _, rest = self.address.partition(":")
        if scheme == "data":
            return data_root() / rest
        if scheme != "package":
            return Path(self.address)
        requirement, _, inside = rest.partition(":")
        name, _, version = requirement.partition("==")
        try:
            package = distribution(name)
        except PackageNotFoundError as error:
            raise CorpusError("corpus_package_missing", id=self.id, requirement=requirement) from error
        if package.version != version:
            raise CorpusError("corpus_package_missing", id=self.id, requirement=requirement)
        return Path(str(package.locate_file(inside)))


@dataclass(frozen=True, slots=True)
class Timing:
    """A word or sentence of a made recording: its first and last audible sample, in seconds of the file."""

    text: str
    start_s: float
    end_s: float


def timings_of(recording: Recording) -> tuple[Timing, ...]:
    """What begins and ends when in a recording made by ``scripts/make_samples.py``.

    Raises:
        CorpusError: for a recording that has no such table beside it.
    """
    table = recording.path().with_suffix(".csv")
    if not table.is_file():
        raise CorpusError("corpus_timings_missing", id=recording.id)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return tuple(Timing(text, float(start_s), float(end_s)) for text, start_s, end_s in rows)


def load_audio(source: Recording | Path | str) -> Samples:
    """The samples of a recording or of any sound file.

    Returns:
        Shape ``(n,)``, float32, 16 kHz mono.

    Raises:
        CorpusError: a recording that is not here, or not the published bytes.
        AudioError: a file that holds no audio.
    """
    return read_samples(source.path() if isinstance(source, Recording) else Path(source))


def data_root() -> Path:
    """The repository's ``data/``; an installed wheel carries a copy."""
    return Path(str(files("rtstt_lab").joinpath("data")))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; read again only when the file has changed."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 (part of the cache's key)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

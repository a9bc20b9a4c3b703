"""The corpus registry: the JSON files of ``data/corpora/``.

Each holds ``recordings`` that come with this package or with one that it installs, ``archives`` that people
with a network can download, or both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from rtstt_lab.errors import CorpusError
from rtstt_lab.replay.recording import Recording, data_root

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A corpus that is downloaded in one piece.

    Attributes:
        id: its name in `Corpus.download`.
        url: of a ``.tar.gz`` or ``.zip``.
        sha256: of the archive; ``None`` where its publisher names none: then the first download is trusted,
            and every later one must equal it.
        size_mb: how much is downloaded; ``None`` where nobody has measured it.
        language: ISO 639-1 code.
        licence: of the audio and its texts.
        source: where the corpus is described.
        layout: how texts and audio lie in it: ``librispeech`` (``*.trans.txt`` beside FLAC files) or
            ``line_index`` (``line_index*.tsv`` beside WAV files).
    """

    id: str
    url: str
    sha256: Sha256 | None
    size_mb: float | None
    language: str
    licence: str
    source: str
    layout: Literal["librispeech", "line_index"]


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one file of the registry lists."""

    recordings: tuple[Recording, ...] = ()
    archives: tuple[Archive, ...] = ()


def load_registry(folder: Path | None = None) -> Registry:
    """Reads and joins all files of the registry, in the order of their names.

    Args:
        folder: default ``data/corpora``.

    Raises:
        CorpusError: for a file that is no registry, with what is wrong in it.
    """
    recordings: list[Recording] = []
    archives: list[Archive] = []
    for path in sorted((folder or data_root() / "corpora").glob("*.json")):
        try:
            part = msgspec.json.decode(path.read_bytes(), type=Registry)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise CorpusError("corpus_registry", path=str(path), reason=str(error)) from error
        recordings += part.recordings
        archives += part.archives
    return Registry(tuple(recordings), tuple(archives))

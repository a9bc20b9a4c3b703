"""Archives that become corpora, from a server of our own."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.replay.making import assert_speaks_both_languages, sound

from rtstt_lab.errors import CorpusError
from rtstt_lab.replay.corpus import Archive, Corpus, load_audio
from rtstt_lab.replay.download import download
from rtstt_lab.replay.recording import sha256_of


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def librispeech(path: Path, seed: int = 0) -> None:
    """An archive of two utterances, laid out as LibriSpeech."""
    chapter = "LibriSpeech/dev/84/121"
    with tarfile.open(path, "w:gz") as tar:
        for number in range(2):
            audio = io.BytesIO()
            noise = np.random.default_rng(seed + number).normal(0, 0.1, 8_000).astype(np.float32)
            soundfile.write(audio, noise, 16_000, format="FLAC")
            add(tar, f"{chapter}/84-121-{number:04}.flac", audio.getvalue())
        add(tar, f"{chapter}/84-121.trans.txt", b"84-121-0000 GO DO YOU HEAR\n84-121-0001 BUT IN LESS THAN\n")


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def archive(url: str, sha256: str | None = None, layout: str = "librispeech") -> Archive:
    return Archive(
        id="test", url=url, sha256=sha256, size_mb=0.1, language="en", licence="CC0", source="here",
        layout=layout,
    )  # fmt: skip


@pytest.mark.requirement("C4")
def test_a_librispeech_archive_becomes_a_corpus(site: tuple[Path, str], tmp_path: Path) -> None:
    """Texts, speakers and lengths are found in it, and a second call needs no network."""
    folder, address = site
    librispeech(folder / "dev.tar.gz")
    wanted = archive(f"{address}/dev.tar.gz", sha256_of(folder / "dev.tar.gz"))
    corpus = Corpus(download(wanted, cache=tmp_path / "cache"))
    first = corpus["84-121-0000"]
    assert [each.reference for each in corpus] == ["GO DO YOU HEAR", "BUT IN LESS THAN"]
    assert (first.speaker, first.duration_s, first.language) == ("test 84", 0.5, "en")
    assert len(load_audio(first)) == 8_000
    (folder / "dev.tar.gz").unlink()
    assert Corpus(download(wanted, cache=tmp_path / "cache")).hash == corpus.hash


def test_an_archive_with_a_line_index_becomes_a_corpus(site: tuple[Path, str], tmp_path: Path) -> None:
    """The layout of the crowdsourced Spanish sets, in a zip."""
    folder, address = site
    with zipfile.ZipFile(folder / "es.zip", "w") as zipped:
        zipped.write(sound(tmp_path / "x.wav"), "prf_00295_01.wav")
        zipped.writestr("line_index.tsv", "prf_00295_01\tLa casa es «grande».\nprf_00295_02\tFalta.\n")
    (recording,) = download(archive(f"{address}/es.zip", layout="line_index"), cache=tmp_path / "cache")
    assert (recording.id, recording.reference) == ("prf_00295_01", "La casa es «grande».")
    assert recording.speaker == "test 00295"


def test_other_bytes_than_the_published_ones_are_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    """A wrong hash leaves nothing behind that a later call would use."""
    folder, address = site
    librispeech(folder / "dev.tar.gz")
    for _ in range(2):
        with pytest.raises(CorpusError) as caught:
            download(archive(f"{address}/dev.tar.gz", "0" * 64), cache=tmp_path / "cache")
        assert_speaks_both_languages(caught.value, "dev.tar.gz")


def test_without_a_published_hash_the_first_download_counts(site: tuple[Path, str], tmp_path: Path) -> None:
    """What is downloaded again must be what was downloaded first."""
    folder, address = site
    librispeech(folder / "dev.tar.gz")
    wanted = archive(f"{address}/dev.tar.gz")
    first = Corpus(download(wanted, cache=tmp_path / "cache")).hash
    (tmp_path / "cache" / "test" / "dev.tar.gz").unlink()
    assert Corpus(download(wanted, cache=tmp_path / "cache")).hash == first
    (tmp_path / "cache" / "test" / "dev.tar.gz").unlink()
    librispeech(folder / "dev.tar.gz", seed=9)
    with pytest.raises(CorpusError) as caught:
        download(wanted, cache=tmp_path / "cache")
    assert caught.value.key == "corpus_archive_changed"


def test_without_a_network_the_ways_out_are_named(site: tuple[Path, str], tmp_path: Path) -> None:
    """An address that does not answer gives a clear error."""
    with pytest.raises(CorpusError) as caught:
        download(archive(f"{site[1]}/none.tar.gz"), cache=tmp_path / "cache")
    assert caught.value.key == "corpus_download"
    assert_speaks_both_languages(caught.value, "none.tar.gz")


def test_an_archive_without_recordings_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    """An archive of another layout does not become an empty corpus."""
    folder, address = site
    with tarfile.open(folder / "dev.tar.gz", "w:gz") as tar:
        add(tar, "README", b"nothing here")
    with pytest.raises(CorpusError) as caught:
        download(archive(f"{address}/dev.tar.gz"), cache=tmp_path / "cache")
    assert caught.value.key == "corpus_archive_empty"


def test_an_unknown_archive_is_named() -> None:
    """The error lists what can be downloaded."""
    with pytest.raises(CorpusError) as caught:
        Corpus.download("none")
    assert_speaks_both_languages(caught.value, "librispeech-mini", "spanish-puerto-rico")

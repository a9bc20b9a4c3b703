"""One server for most tests, and speech to send to it."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess

import pytest
import soundfile

from rtstt_lab.server.models import ModelPool

from .talk import CHUNK_BYTES, TOKEN, Server, running, start


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The one that most tests share; at the end it ends well, and its log holds no secret."""
    folder = tmp_path_factory.mktemp("server")
    temporary = folder / "tmp"
    temporary.mkdir()
    # Tests leave sessions behind, which last for as long as a client may be away.
    with running(folder, "--max-sessions", "100", TMPDIR=str(temporary)) as server:
        yield server
    log = server.log.read_text("utf-8")
    assert TOKEN not in log
    assert "laboratory" not in log
    assert not list(temporary.iterdir())


@pytest.fixture(scope="session")
def loaded_models():
    """Models that a test of this process has loaded, warm."""
    return {}


@pytest.fixture(autouse=True)
def models_stay(loaded_models, monkeypatch):
    """What a registry here loads comes from an earlier one, where there was one that loaded the same."""
    load = ModelPool._load

    def kept(self, model):
        key = model.name, self._options
        if key not in loaded_models:
            loaded_models[key] = load(self, model)
        return loaded_models[key]

    monkeypatch.setattr(ModelPool, "_load", kept)


@pytest.fixture
def own_server(tmp_path):
    """Starts a server that belongs to one test."""
    running: list[Server] = []

    def begin(*options, **environment):
        running.append(start(tmp_path, *options, **environment))
        return running[-1]

    yield begin
    for server in running:
        server.end()


@pytest.fixture(scope="session")
def speech(root):
    """The first 8 s of the shipped English sample as chunks of 16-bit PCM."""
    samples, rate = soundfile.read(root / "data/samples/en_laboratory.flac", dtype="int16", frames=8 * 16_000)
    assert rate == 16_000
    data = samples.tobytes()
    return [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]


@pytest.fixture(scope="session")
def spoken(root):
    """What is said in these 8 s."""
    corpus = json.loads((root / "data/corpora/samples.json").read_text("utf-8"))["recordings"]
    text = next(entry["reference"] for entry in corpus if entry["id"] == "en_laboratory")
    return text[: text.index("small") + len("small")]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB; where none can be mounted, a limit on the length of files."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        yield place, (place / "filler").unlink, lambda: fill(place / "filler")
        subprocess.run(["umount", "-l", str(place)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield place, lambda: limit(before[0]), lambda: limit(2_000)
    limit(before[0])


def fill(file):
    """Takes all space that is left."""

    def write():
        with file.open("wb", buffering=0) as sink:
            while True:
                sink.write(bytes(1_000))

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write()

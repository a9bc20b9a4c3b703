"""One server for most tests, and speech to send to it."""

from __future__ import annotations

import json

import pytest
import soundfile

from .talk import CHUNK_BYTES, TOKEN, Server, start


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The one that most tests share; at the end it ends well, and its log holds no secret."""
    folder = tmp_path_factory.mktemp("server")
    temporary = folder / "tmp"
    temporary.mkdir()
    server = start(folder, TMPDIR=str(temporary))
    try:
        yield server
        assert server.stop() == 0, server.log.read_text("utf-8")
        log = server.log.read_text("utf-8")
        assert "Traceback" not in log
        assert TOKEN not in log
        assert "laboratory" not in log
        assert not list(temporary.iterdir())
    finally:
        server.end()


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

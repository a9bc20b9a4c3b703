"""A peer's process: what its tree costs, and that nothing of it is left."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import struct
import sys
import types
from pathlib import Path

import numpy as np
import psutil
import pytest
from benchmarks.peers.conversation import PipeLink, converse
from benchmarks.peers.environments import Environment
from benchmarks.peers.peer import Peer, PeerSystem
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import one_by_one
from benchmarks.peers.whisper_streaming import OutputReader

from rtstt_lab.errors import RecognitionError
from rtstt_lab.lab.bench.heard import Heard
from rtstt_lab.types import SAMPLE_RATE_HZ

HOSTS = Path(__file__).parents[2] / "benchmarks" / "peers" / "hosts"

BURNS_IN_A_CHILD = """
import subprocess, sys
burn = "import sys, time\\nwhile time.process_time() < 0.3: pass\\nprint(1, flush=True)\\nsys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE)
print(child.stdout.readline().decode(), child.pid, flush=True)
sys.stdin.read()
"""

ECHO = f"""
import sys
sys.path.insert(0, {str(HOSTS)!r})
from lines import Lines
lines = Lines()
print("what a library prints is no message")
for language in lines.sessions():
    lines.say(ready=True)
    sent = sum(len(chunk) for chunk in lines.audio())
    lines.say(final=f"{{language}} {{sent}}")
    lines.say(done=True)
"""


def test_the_tree_is_metered_and_ended_whole(tmp_path: Path) -> None:
    """What a child of the process computed and holds is counted, and it ends with it."""
    with PeerProcess(
        [sys.executable, "-c", BURNS_IN_A_CHILD], tmp_path / "log", threads=1, piped=True
    ) as peer:
        said = peer.pipes[1].readline() + peer.pipes[1].readline()
        child = psutil.Process(int(said.split()[-1]))
        assert peer.cpu_s() >= 0.3
        assert peer.rss_mb() > child.memory_info().rss / 1e6
    assert not child.is_running()
    assert not peer.running


def test_a_library_is_played_a_recording_over_pipes(tmp_path: Path) -> None:
    """All audio arrives as 16 bit, in the session's language, in no less than its own time."""
    with PeerProcess([sys.executable, "-c", ECHO], tmp_path / "log", threads=1, piped=True) as peer:
        for seconds in (0.6, 0.3):
            samples = np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)
            told = converse(PipeLink(peer, "es"), samples, peer, chunk_ms=250)
            (at_s, message), *rest = told.messages
            assert message == {"final": f"es {2 * len(samples)}"}
            assert at_s >= seconds
            assert told.complete
            assert not rest


def test_a_process_that_ends_fails_with_its_last_words(tmp_path: Path) -> None:
    """The reason of a failure is what the peer wrote."""
    command = [sys.executable, "-c", "raise SystemExit('no weights here')"]
    with (
        PeerProcess(command, tmp_path / "log", threads=1, piped=True) as peer,
        pytest.raises((RecognitionError, BrokenPipeError)) as caught,
    ):
        PipeLink(peer, "en")
    assert "no weights here" in str(peer.failure(str(caught.value)))


def test_weights_become_openais_checkpoint() -> None:
    """Joined projections are split under their names, keys without a bias; heads read back as written."""
    spec = importlib.util.spec_from_file_location("export_torch", HOSTS / "export_torch.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules.setdefault("torch", types.ModuleType("torch"))
    export = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(export)
    raw = io.BytesIO()
    weight = np.arange(18, dtype=np.float16).reshape(9, 2)
    raw.write(struct.pack("<I", 6) + _text("WhisperSpec") + struct.pack("<II", 3, 1))
    raw.write(_text("w") + struct.pack("<BIIBI", 2, *weight.shape, 4, weight.nbytes) + weight.tobytes())
    raw.seek(0)
    assert np.array_equal(export.read_variables(raw)["w"], weight)
    mask = np.frombuffer(gzip.decompress(base64.b85decode(export.heads_mask([[1, 2]], 2, 4))), bool)
    assert list(np.flatnonzero(mask)) == [6]


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def test_a_peer_that_ended_is_started_again(tmp_path: Path) -> None:
    """A host that dies after a session fails there, and the next recording finds a new one."""
    dies = ECHO.replace(
        "lines.say(done=True)", "lines.say(done=True) if language == 'es' else exit('out of luck')"
    )
    peer = Peer(
        name="Echo",
        package="",
        environment="",
        protocol="pipes",
        configurations={"default": {}},
        command=lambda _: [sys.executable, "-c", dies],
        connect=lambda _, process, language: PipeLink(process, language),
        reader=one_by_one(OutputReader),
        piped=True,
    )
    samples = np.zeros(SAMPLE_RATE_HZ // 10, np.float32)
    environment = Environment("", tmp_path)
    with PeerSystem.started(
        peer, "default", environment, tmp_path, tmp_path, threads=1, chunk_ms=250
    ) as system:
        assert _text_of(system.hear(samples, "es")) == " es 3200"
        with pytest.raises(RecognitionError, match="out of luck"):
            system.hear(samples, "en")
        heard = system.hear(samples, "es")
    assert _text_of(heard) == " es 3200"
    assert heard.rss_mb > 0
    assert [event["event"] for event in heard.events[:3]] == ["chunk", "sent", "accepted"]


def _text_of(heard: Heard) -> str:
    return "".join(word[0] for event in heard.events if event["event"] == "final" for word in event["words"])

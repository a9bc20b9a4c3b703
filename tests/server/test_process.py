"""``rtstt serve`` as a process: what it refuses at its start, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from .talk import TOKEN, listening


def run(*options, **environment):
    """Runs the command to its end; for starts that fail."""
    command = [sys.executable, "-m", "rtstt_lab", "serve", "--model", "tiny.en", *options]
    environment = os.environ | {"RTSTT_TOKEN": TOKEN, "RTSTT_LANG": "en"} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)


@pytest.mark.parametrize(
    ("options", "environment", "code", "words"),
    [
        (["--language", "es", "--port", "0"], {}, 2, "tiny.en"),
        (["--model", "nonsense", "--port", "0"], {}, 1, "nonsense"),
        (["--host", "0.0.0.0", "--port", "0"], {}, 2, "--insecure"),
        (["--ssl-certfile", "pyproject.toml", "--ssl-keyfile", "pyproject.toml"], {}, 2, "PEM"),
        (["--port", "99999"], {}, 2, "--port"),
        (["--port", "0"], {"RTSTT_TOKEN": "short"}, 2, "RTSTT_TOKEN"),
        (["--port", "0", "--host", "0.0.0.0"], {"RTSTT_LANG": "es"}, 2, "accesible desde otras máquinas"),
    ],
)
@pytest.mark.requirement("S3", "U1")
def test_starts_that_cannot_be(options, environment, code, words, root, monkeypatch):
    """Each gets one clear line and the right exit code, and nothing on stdout."""
    monkeypatch.chdir(root)
    ended = run(*options, **environment)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.requirement("S3")
def test_a_port_in_use(server):
    """The port's number and what to do, exit code 1, and the one that runs is not disturbed."""
    ended = run("--port", str(server.port))
    assert ended.returncode == 1
    assert str(server.port) in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.rest("GET").status_code == 200


@pytest.mark.requirement("L5", "S4", "O3", "R1")
async def test_a_signal_settles_and_saves(own_server, speech):
    """SIGTERM while sessions are open: what was said is recognised to its end, told and saved."""
    server = own_server("--max-sessions", "2")
    made = server.create(language="en")
    server.create()
    full = server.rest("POST", json={})
    assert full.status_code == 429
    assert int(full.headers["Retry-After"]) > 0
    assert "2" in full.json()["message"]
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await talk.say(speech)
        server.process.send_signal(signal.SIGTERM)
        summary = (await talk.until("server:session_completed"))["summary"]
        assert summary["complete"]
        text = talk.of("server:transcription_final")[-1]["text"]
        assert text.rstrip(".").endswith("small")
    assert server.process.wait(60) == 0
    (file,) = server.output.iterdir()
    assert str(file) == summary["file"]
    assert text in file.read_text("utf-8")
    log = server.log.read_text("utf-8")
    assert str(file) in log
    assert "Traceback" not in log


@pytest.mark.requirement("S2", "S3")
def test_a_token_is_made_and_shown_once(own_server):
    """Without RTSTT_TOKEN one is made up; it is on stderr once, works, and Ctrl-C ends the server well."""
    server = own_server(token="")
    shown = server.log.read_text("utf-8")
    token = next(line for line in shown.splitlines() if line.startswith("Token")).split()[-1]
    assert server.rest("GET", token=token).json()["sessions"] == []
    assert server.rest("GET").status_code == 401
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert server.log.read_text("utf-8").count(token) == 1


@pytest.mark.requirement("S2")
def test_the_process_is_kept_private(server):
    """It dumps no core, and listens on loopback only."""
    limits = Path(f"/proc/{server.process.pid}/limits")
    if not limits.exists():
        pytest.skip("no /proc on this system")
    core = next(line for line in limits.read_text().splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    # A dump that is piped into a program heeds no limit; it would be without memory.
    dumped = Path(f"/proc/{server.process.pid}/coredump_filter")
    assert int(dumped.read_text(), 16) == 0
    assert listening(server.process.pid) == [("127.0.0.1", server.port)]


@pytest.mark.requirement("O3")
def test_the_process_is_lean(server):
    """What analyses and draws is not loaded into it; at rest it holds model and libraries alone."""
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("no /proc on this system")
    loaded = maps.read_text("utf-8")
    assert "onnxruntime" in loaded
    assert not [name for name in ("pandas", "matplotlib", "pyarrow", "scipy") if f"/{name}/" in loaded]
    assert psutil.Process(server.process.pid).memory_info().rss < 450e6

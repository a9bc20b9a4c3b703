"""A server of one's own starts, tells its port, and ends with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import ServiceError


def gone(pid: int, within_s: float = 90.0) -> bool:
    """Whether the process ends in time."""
    until = time.monotonic() + within_s
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
    return True


def until(condition: Callable[[], object], within_s: float = 600.0) -> None:
    """Waits for something that another thread does."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def kill(server: LocalServer) -> int:
    """Ends the child as the kernel does when memory is short."""
    assert server.pid is not None
    os.kill(pid := server.pid, signal.SIGKILL)
    return pid


@pytest.mark.requirement("R1")
def test_a_child_that_died_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same port, with the same secret and journal; told each time, in the person's language."""
    monkeypatch.setenv("RTSTT_LANG", "es")
    told: list[str] = []
    journal = tmp_path / "journal"
    with LocalServer(model="tiny.en", output=tmp_path, journal=journal, on_progress=told.append) as server:
        url = server.url
        for deaths in (1, 2):
            pid = kill(server)
            until(lambda count=deaths: server.restarts == count)
            assert gone(pid)
            assert server.running
            assert server.url == url
            headers = {"Authorization": f"Bearer {server.token}"}
            assert httpx.get(f"{url}/api/streaming/sessions", headers=headers, timeout=60).status_code == 200
            assert server.pid is not None
            assert str(journal) in psutil.Process(server.pid).cmdline()
        assert sum("se ha reiniciado" in line for line in told) == 2
        assert server.start() is server
    assert not server.running
    assert server.restarts == 2


@pytest.mark.requirement("R1")
def test_a_child_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    """Each new one dies at once: after a bounded number it is left at that, and can be started by hand."""
    server = LocalServer(model="tiny.en", output=tmp_path)
    with server:
        url = server.url
        server._options = ["--no-such-option"]
        pid = kill(server)
        until(lambda: server.given_up)
        assert gone(pid)
        assert not server.running
        assert server.restarts == 0
        assert any("--no-such-option" in line for line in server.messages)
        server._options = ["--output", str(tmp_path), "--model", "tiny.en"]
        server.start()
        assert server.running
        assert server.url == url, "pages that are open know no other"
        assert not server.given_up


@pytest.mark.requirement("R1")
def test_one_that_was_told_to_end_stays_ended(tmp_path: Path) -> None:
    """Whoever sends SIGTERM means it."""
    with LocalServer(model="tiny.en", output=tmp_path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: not server.running)
        assert server._attendant is not None
        server._attendant.join(60)
        assert not server._attendant.is_alive()
        assert (server.running, server.restarts) == (False, 0)


async def test_it_runs_beside_us_and_ends_with_the_context(tmp_path: Path) -> None:
    """It answers on its port, needs its secret, shows its CPU, and is gone afterwards."""
    async with LocalServer(model="tiny.en", output=tmp_path) as server:
        assert server.running
        assert server.pid is not None
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.post("/api/streaming/sessions", json={})).status_code == 401
        assert server.token not in " ".join(psutil.Process(server.pid).cmdline())
        assert server.process_cpu_s() > 0
        pid = server.pid
    assert not server.running
    assert gone(pid)


def test_what_keeps_it_from_starting_is_said(tmp_path: Path) -> None:
    """A model that does not exist: the child's own sentence, in the exception, and no process left."""
    server = LocalServer(model="nonsense", output=tmp_path)
    with pytest.raises(ServiceError, match="nonsense"):
        server.start()
    assert not server.running


@pytest.mark.requirement("D3")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Nobody closes anything: the pipe's end is enough."""
    script = (
        "import pathlib, sys\n"
        "from rtstt_lab.client.local import LocalServer\n"
        "print(LocalServer(model='tiny.en', output=pathlib.Path(sys.argv[1])).start().pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for pipe in (parent.stdin, parent.stdout):
        if pipe:
            pipe.close()
    assert gone(pid)

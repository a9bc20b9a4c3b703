"""A server of one's own starts, tells its port, and ends with whoever started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import ServiceError


def gone(pid: int, within_s: float = 30.0) -> bool:
    """Whether the process ends in time."""
    until = time.monotonic() + within_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


async def test_it_runs_beside_us_and_ends_with_the_context(tmp_path: Path) -> None:
    """It answers on its port, needs its secret, shows its CPU, and is gone afterwards."""
    async with LocalServer(model="tiny.en", output=tmp_path) as server:
        assert server.running
        assert server.pid is not None
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
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

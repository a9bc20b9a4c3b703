"""Our own server keeps every rule, directly and through proxies; what it says of others is said in words."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from rtstt_lab.client.local import LocalServer
from rtstt_lab.lab.conformance.run import examine
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.proxy import FaultProxy

JUPYTER_TOKEN = "opens-jupyter"


def not_passed(outcomes):
    return {
        name: (outcome.expected, outcome.got.say("en"))
        for name, outcome in outcomes.items()
        if outcome.verdict != "passed" and not (outcome.check.minutes and outcome.verdict == "skipped")
    }


@pytest.mark.requirement("L2", "L3", "L4", "L5", "L6", "E2", "E4", "R3", "S1", "S3", "S4")
async def test_ours_passes(examined):
    """Every check of every rule."""
    assert not_passed(await examined()) == {}


@pytest.mark.requirement("L4")
async def test_ours_passes_through_a_proxy(house, examined):
    """The rules about links, through a proxy that does not know what it carries."""
    port = int(house.rpartition(":")[2])
    async with FaultProxy("127.0.0.1", port, FaultSchedule()) as proxy:
        outcomes = await examined("3", "5", "6", "10", "12", url=f"{proxy.url}/")
        assert proxy.connections > 30
    assert not_passed(outcomes) == {}


@pytest.mark.long
@pytest.mark.requirement("L4")
async def test_ours_passes_through_jupyter(tmp_path, speech):
    """Every check, those that wait for minutes included, of ``rtstt serve`` behind jupyter-server-proxy."""
    with LocalServer(model="tiny.en", output=tmp_path / "output") as server, jupyter(tmp_path) as address:
        url = f"{address}/proxy/{server.port}?token={JUPYTER_TOKEN}"
        examination = await examine(url, token=server.token, speech=speech, minutes=True)
    outcomes = {outcome.check.id: outcome for outcome in examination.outcomes}
    assert not_passed(outcomes) == {}


@contextmanager
def jupyter(folder):
    """A Jupyter server below a base URL, its extensions on; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    homes = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.base_url": "/hub/",
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": JUPYTER_TOKEN,
    }
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    with (folder / "jupyter.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            env=os.environ | homes,
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}/hub"
    try:
        retrying = httpx.HTTPTransport(retries=8)  # with growing waits: about a minute
        with httpx.Client(transport=retrying, timeout=120) as client:
            assert client.get(f"{address}/api/status", params={"token": JUPYTER_TOKEN}).is_success
        yield address
    finally:
        process.terminate()
        process.wait(120)

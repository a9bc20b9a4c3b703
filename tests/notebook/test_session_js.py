"""The page's machine is the Python one once more: same tables, same answers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from make_traces import MIME
from protocol_world import World
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.messages import TranscriptionFinal, encode


def test_tables_are_those_of_python(root: Path) -> None:
    """The generated tables are up to date."""
    done = subprocess.run(
        [sys.executable, root / "scripts/make_tables.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.requirement("L1", "L4", "L6", "M1", "A1", "A3")
@pytest.mark.parametrize("sessions", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_traces_of_python_replay_on_the_page(
    root: Path, static: Path, tmp_path: Path, node: Callable[..., str], sessions: int
) -> None:
    """Every call of seeded sessions is answered by session.js as by ClientSession, in every respect."""
    traces = tmp_path / "traces.jsonl"
    subprocess.run(
        [sys.executable, root / "scripts/make_traces.py", traces, "--count", str(sessions)],
        check=True,
        timeout=240,
    )
    said = node(root / "tests/notebook/replay_traces.mjs", static / "session.js", traces)
    steps = int(said.split()[-2])
    assert steps > 50 * sessions


@pytest.mark.requirement("L4", "L6")
def test_a_page_that_was_loaded_again_takes_the_servers_numbers(
    root: Path, static: Path, tmp_path: Path, node: Callable[..., str]
) -> None:
    """A second client of a session that is further on, and a gap in its events: both answer alike."""
    traces = tmp_path / "traces.jsonl"
    traces.write_text("".join(json.dumps(loaded_again(seed)) + "\n" for seed in range(40)), "utf-8")
    said = node(root / "tests/notebook/replay_traces.mjs", static / "session.js", traces)
    assert int(said.split()[-2]) > 40


def loaded_again(seed: int) -> dict[str, Any]:
    """The trace of a page that was loaded again in the middle of a session."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
    world = World()
    world.call("connect")
    world.call("start")
    for index in range(rng.randint(1, 8)):
        world.capture(rng.randbytes(20), stream=index // 4, mime=MIME if index % 4 == 0 else None)
        world.advance(rng.choice([0.1, 0.5]))
    world.recognise(final=rng.random() < 0.7)
    world.advance(0.2)
    world.cut()

    token = world.server.issue_token()
    world.client = ClientSession(world.client.session_id, token, settings=world.settings)
    world.steps.clear()
    del world.captured_payloads[world.server.next_seq :]
    for name in rng.sample(["start", "pause", "connect"], k=3):
        world.call(name)
    world.call("resume" if world.client.phase is Phase.PAUSED else "start")
    for index in range(rng.randint(1, 6)):
        world.capture(rng.randbytes(20), mime=MIME if index == 0 else None)
        world.advance(rng.choice([0.0, 0.3]))
    world.advance(1.0)
    late = TranscriptionFinal(99, "late", (), 0.5, "en", 0, event=world.server.last_event + 5)
    world.call("receive_text", frame=encode(late))
    world.call("stop")
    world.settle()
    session = {"session_id": world.client.session_id, "token": token, "settings": asdict(world.settings)}
    return {"seed": seed, "session": session, "steps": world.steps}

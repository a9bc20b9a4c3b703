"""The page's machine is the Python one once more: same tables, same answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRACES = 500


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
def test_traces_of_python_replay_on_the_page(
    root: Path, static: Path, tmp_path: Path, node: Callable[..., str]
) -> None:
    """Every call of 500 seeded sessions is answered by session.js as by ClientSession, in every respect."""
    traces = tmp_path / "traces.jsonl"
    subprocess.run(
        [sys.executable, root / "scripts/make_traces.py", traces, "--count", str(TRACES)],
        check=True,
        timeout=120,
    )
    said = node(root / "tests/notebook/replay_traces.mjs", static / "session.js", traces)
    steps = int(said.split()[-2])
    assert steps > 50 * TRACES

"""Node, which runs the page's modules without a page."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import playwright
import pytest


@pytest.fixture(scope="session")
def static(root: Path) -> Path:
    """The page's modules."""
    return root / "src/rtstt_lab/notebook/static"


@pytest.fixture(scope="session")
def node() -> Callable[..., str]:
    """Runs node with these arguments and gives its output; an error of it is the test's."""
    # A machine without node has the one that Playwright's wheel brings.
    path = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [path, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    return run

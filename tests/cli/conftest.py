"""The real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from rtstt_lab.types import SAMPLE_RATE_HZ

Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
Begin: TypeAlias = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment() -> dict[str, str]:
    """The tests' environment without what would choose language, token or corpus."""
    foreign = ("LANG", "LC_ALL", "LC_MESSAGES", "RTSTT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "LANG": "en_US.UTF-8", "COLUMNS": "100", "PYTHONUTF8": "1"}


@pytest.fixture
def rtstt(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Runs ``rtstt`` in an empty folder and returns what it wrote."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rtstt_lab", *map(str, arguments)],
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture
def begun(tmp_path: Path, environment: dict[str, str]) -> Iterator[Begin]:
    """Starts ``rtstt`` in an empty folder and a group of its own, to be interrupted; none is left behind."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "rtstt_lab", *map(str, arguments)],
            cwd=tmp_path,
            env=environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            process_group=0,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A second of a quiet tone: audio, but nobody says anything."""
    path = tmp_path / "tone.wav"
    seconds = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    soundfile.write(path, 0.01 * np.sin(2 * np.pi * 440 * seconds), SAMPLE_RATE_HZ)
    return path

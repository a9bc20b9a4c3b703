"""Recordings with anything in them: no dead process, bounded time, memory and silence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .containers import MIMES

MAX_CPU_S = 5.0
MAX_PEAK_MB = 150
"""libav makes room for what a header claims, within bounds (`audio.allocation`), and gives it back."""
MAX_GROWN_MB = 40
LONGEST_CHUNK_S = 121
"""What one chunk may decode into (`audio.reader`), and a little silence."""


@pytest.mark.requirement("S1", "E4", "O3")
@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(60, id="few"),
        pytest.param(5_000, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.parametrize("mime", MIMES)
def test_no_recording_breaks_the_decoder(mime, inputs, root):
    """Each mutation is decoded or refused at little cost; nothing stays; a right one is decoded as before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.containers", mime, "0", str(inputs)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["whole"], told
    assert told["longest_s"] < MAX_CPU_S, told
    assert told["peak_mb"] < MAX_PEAK_MB, told
    assert told["grown_mb"] < MAX_GROWN_MB, told
    assert told["most_samples"] <= 16_000 * LONGEST_CHUNK_S, told
    assert told["threads"] == 1, told

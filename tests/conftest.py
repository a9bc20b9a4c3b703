"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # what is imported here is imported for every test
    from rtstt_lab.client.local import LocalServer
    from rtstt_lab.recognition.whisper import WhisperDecoder

# A run that fails, fails again; and a machine that is slow, or stands still for a moment, fails none.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# Before numpy reads them: threads that spin while they wait take the core of whatever runs at the same time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server with tiny.en for all tests that only ask it for something."""
    from rtstt_lab.client.local import LocalServer  # noqa: PLC0415

    with LocalServer(model="tiny.en", output=tmp_path_factory.mktemp("output")) as running:
        yield running


@pytest.fixture(scope="session")
def tiny() -> WhisperDecoder:
    """tiny.en in this process."""
    from rtstt_lab.recognition.models import ModelStore  # noqa: PLC0415
    from rtstt_lab.recognition.whisper import WhisperDecoder  # noqa: PLC0415

    return WhisperDecoder.load(ModelStore().resolve("tiny.en"))

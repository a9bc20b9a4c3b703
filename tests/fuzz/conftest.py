"""One server for all that is sent over sockets."""

from __future__ import annotations

import pytest
from tests.server.talk import running


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """It lets one address try as often as it likes, and has no error of its own in its log at the end."""
    with running(
        tmp_path_factory.mktemp("service"),
        *("--max-requests-per-min", "1000000", "--max-new-sessions-per-min", "100000"),
        *("--max-reconnections-per-h", "10000", "--max-sessions", "50"),
    ) as server:
        yield server

"""``rtstt conformance`` as people call it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rtstt_lab.client.local import LocalServer

from .conftest import Run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server of this package."""
    with LocalServer(model="tiny.en", output=tmp_path_factory.mktemp("output")) as running:
        yield running


def test_one_rule_of_ours(rtstt: Run, server: LocalServer, tmp_path) -> None:
    """The table in the person's language, the same as JSON, and 0."""
    result = rtstt(
        "conformance",
        server.url,
        "--rule",
        "6",
        "--json",
        "out.json",
        RTSTT_TOKEN=server.token,
        LANG="es_ES.UTF-8",
    )
    assert result.returncode == 0, result.stderr + result.stdout
    assert "R6.ten_bad_frames" in result.stdout
    assert "3 superadas, 0 fallidas, 0 omitidas" in result.stdout
    told = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [check["verdict"] for check in told["checks"]] == ["passed"] * 3
    assert server.token not in result.stdout + result.stderr + json.dumps(told)


def test_what_cannot_be_examined(rtstt: Run, server: LocalServer) -> None:
    """A rule that is none ends with 2; nobody there, or a wrong token, with 1 and a line that helps."""
    assert rtstt("conformance", server.url, "--rule", "99").returncode == 2
    wrong = rtstt("conformance", server.url, "--token", "x" * 32)
    assert (wrong.returncode, "token" in wrong.stderr) == (1, True)
    nobody = rtstt("conformance", "http://127.0.0.1:1")
    assert (nobody.returncode, len(nobody.stderr.splitlines())) == (1, 1)

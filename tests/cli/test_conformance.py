"""``rtstt conformance`` as people call it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtstt_lab.cli.conformance import conformance
from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import UsageError

from .conftest import Run


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


@pytest.mark.requirement("U1")
@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("--cafile ca.pem", "cafile_plain"),
        ("--token wrong --token-file token", "token_twice"),
        ("--token-file missing", "token_file"),
        ("--token-file sound", "token_file"),
        ("--token-file empty", "token_file_words"),
        ("--token-file letter", "token_file_words"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, monkeypatch, options: str, key: str) -> None:
    """No encryption to trust, two tokens, or a file that holds none: said in both languages, never quoted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("t" * 32, "utf-8")
    (tmp_path / "empty").touch()
    (tmp_path / "letter").write_text("dear token,\nhow are you?", "utf-8")
    (tmp_path / "sound").write_bytes(b"\xff\xfe\x00")
    refused = CliRunner().invoke(conformance, ["http://127.0.0.1:1", *options.split()]).exception
    assert isinstance(refused, UsageError)
    assert (refused.key, refused.exit_code) == (key, 2)
    told = {refused.localized(language) for language in ("en", "es")}
    assert len(told) == 2
    assert all(options.rsplit(maxsplit=1)[-1] in text for text in told if "“" in text or "«" in text)
    assert not any("dear" in text for text in told)


class _Page(BaseHTTPRequestHandler):
    """Some other web server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_some_other_web_server(rtstt: Run) -> None:
    """A table that names what failed and what came, and 1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            result = rtstt("conformance", f"http://127.0.0.1:{other.server_port}", COLUMNS="200")
        finally:
            other.shutdown()
            thread.join()
    assert (result.returncode, result.stderr) == (1, "")
    assert "REST.answers" in result.stdout
    assert "<html>Welcome" in result.stdout
    assert "0 passed, 1 failed" in result.stdout

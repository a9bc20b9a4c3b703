"""What cannot be is one clear line on stderr, in the person's language, with the right exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rtstt_lab.cli import main
from rtstt_lab.recognition.models import ModelStore

Run = Callable[..., subprocess.CompletedProcess[str]]
Invoke = Callable[..., Result]


def assert_refused(done: Result, code: int, said: str) -> None:
    assert done.exit_code == code, done.stderr
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert done.stdout == ""


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Calls the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, language: str) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="rtstt", env={"RTSTT_LANG": language})

    return call


@pytest.mark.requirement("U1")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["transcribe", "missing.wav"], 1, "«missing.wav» no existe"),
        (["transcribe", "text.wav"], 1, "no contiene audio legible"),
        (["transcribe", "empty.wav"], 1, "su duración es cero"),
        (["transcribe", "tone.wav", "--language", "xx"], 2, "no es un idioma"),
        (["transcribe", "tone.wav", "--model", "nonsense"], 1, "No existe el modelo «nonsense»"),
        (["transcribe", "tone.wav", "--model", "tiny.en", "--language", "es"], 2, "solo conoce el inglés"),
        (["transcribe", "tone.wav", "--server", "http://127.0.0.1:1"], 1, "No se puede conectar"),
        (["transcribe", "tone.wav", "--server", "ftp://example.org"], 2, "no es la dirección de un servidor"),
        (["transcribe", "tone.wav", "--server", "http://127.0.0.1:1", "--device", "cpu"], 2, "--device"),
        (["transcribe", "tone.wav", "--cafile", "authority.pem"], 2, "--server"),
        (["transcribe", "tone.wav", "--server", "http://127.0.0.1:99999"], 2, "no es la dirección"),
        (["transcribe"], 2, "Falta FILE"),
        (["transcribe", "tone.wav", "--format", "doc"], 2, "txt, json, srt, vtt, csv"),
        (["transcribe", "--wrong"], 2, "No existe la opción «--wrong»"),
        (["nothing"], 2, "No existe la orden «nothing»"),
    ],
)
def test_bad_input_is_explained(
    invoke: Invoke, tmp_path: Path, tone: Path, arguments: list[str], code: int, said: str
) -> None:
    """No file, no audio, no length, no language, no model, no server, no such call: said in Spanish."""
    (tmp_path / "text.wav").write_text("This is no audio at all.")
    (tmp_path / "empty.wav").touch()
    assert_refused(invoke(*arguments, language="es"), code, said)


def test_a_process_says_it_in_english(rtstt: Run) -> None:
    """The real command: exit code, one line on stderr, no traceback."""
    done = rtstt("transcribe", "missing.wav")
    assert done.returncode == 1
    assert done.stderr == "Error: “missing.wav” does not exist. Check the path.\n"
    assert done.stdout == ""


def test_what_nobody_foresaw_is_one_line_too(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is named and asked to be reported, without a traceback."""
    monkeypatch.setattr(ModelStore, "list", lambda _: 1 / 0)
    assert_refused(invoke("models", language="en"), 1, "This should not happen: ZeroDivisionError")


@pytest.mark.parametrize(
    ("language", "headings"),
    [
        ("en", ["Usage:", "Options:", "Commands:"]),
        ("es", ["Uso:", "Opciones:", "Órdenes:"]),
    ],
)
def test_help_speaks_both_languages(invoke: Invoke, language: str, headings: list[str]) -> None:
    """Headings, options and commands of the help are in the person's language."""
    done = invoke("--help", language=language)
    assert done.exit_code == 0
    assert all(heading in done.stdout for heading in headings)
    assert all(name in done.stdout for name in ("demo", "models", "serve", "transcribe"))


def test_models_are_listed(invoke: Invoke) -> None:
    """The packaged models are there; others are named with where they come from."""
    done = invoke("models", language="en")
    assert done.exit_code == 0
    assert "tiny.en" in done.stdout
    assert "large-v3" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("redirected", [">&-", "2>&-"])
def test_closed_outputs_are_no_failure(tmp_path: Path, environment: dict[str, str], redirected: str) -> None:
    """A command that is started without stdout or stderr does its work all the same."""
    script = f"{sys.executable} -m rtstt_lab models {redirected}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_closed_pipe_is_no_failure(tmp_path: Path, environment: dict[str, str]) -> None:
    """A reader that has seen enough ends the command without a complaint."""
    script = f"{sys.executable} -m rtstt_lab models | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["models"], ["serve", "--help"]])
@pytest.mark.parametrize(("language", "words"), [("en", "standard output"), ("es", "salida estándar")])
def test_an_output_without_room_is_named(
    environment: dict[str, str], arguments: list[str], language: str, words: str
) -> None:
    """A full disk behind the redirection is an error in words, once, with code 1; not “should not happen”."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rtstt_lab", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment | {"RTSTT_LANG": language},
            check=False,
        )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert words in said
    assert said.count("\n") == 1

"""Live text in a terminal and without one."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rtstt_lab.cli.view import LiveView
from rtstt_lab.protocol.events import FinalReceived, PartialReceived, StateChanged, StatusReceived
from rtstt_lab.protocol.lifecycle import Link, Mode, Phase, Shown
from rtstt_lab.protocol.messages import Alert, Status, TranscriptionFinal, TranscriptionPartial, WireWord

WORDS = (WireWord(" Good", 100, 400, 0.9), WireWord(" morning.", 400, 900, 0.8))
PARTIAL = PartialReceived(
    TranscriptionPartial(0, 0, "Good mourning", (WORDS[0], WireWord(" mourning", 400, 900, 0.5)), 1, 900)
)
FINAL = FinalReceived(TranscriptionFinal(0, "Good morning.", WORDS, 0.85, "en", 900, 1))


def screen(*, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=60, color_system=None, legacy_windows=False
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def left_standing(output: str) -> str:
    """What a terminal shows in the end of lines that are erased and written again."""
    lines = [re.split(r"\x1b\[2K", line)[-1] for line in output.split("\n")]
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\r", "", "\n".join(lines)).strip()


def test_in_a_terminal_partials_are_overwritten_and_finals_stay() -> None:
    """The partial is drawn, then erased; the final is what stands, once."""
    console = screen(terminal=True)
    with LiveView(console, console) as view:
        view(0.0, PARTIAL)
        assert "Good mourning" in written(console)
        view(1.0, FINAL)
    assert left_standing(written(console)) == "Good morning."


def test_without_a_terminal_there_are_finals_and_no_control_codes() -> None:
    """A pipe gets one line a final."""
    console = screen(terminal=False)
    with LiveView(console, console) as view:
        view(0.0, PARTIAL)
        view(1.0, FINAL)
    assert written(console) == "Good morning.\n"


@pytest.mark.requirement("L4", "U1")
def test_a_lost_connection_is_told_in_the_persons_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnecting and what follows it are notes beside the text."""
    monkeypatch.setenv("RTSTT_LANG", "es")
    text, notes = screen(terminal=False), screen(terminal=False)
    with LiveView(text, notes) as view:
        view(0.0, StateChanged(Shown.RECONNECTING, Link.RECONNECTING, Phase.RECORDING, Mode.STREAM))
        view(1.0, StateChanged(Shown.RECORDING, Link.OPEN, Phase.RECORDING, Mode.STREAM))
    assert "Se perdió la conexión" in written(notes)
    assert "Conectado de nuevo." in written(notes)
    assert written(text) == ""


@pytest.mark.requirement("M3", "A2", "U1")
@pytest.mark.parametrize(
    ("language", "gone", "back"),
    [
        ("en", "No sound has reached the server for 2 s.", "again"),
        ("es", "Hace 2 s que no llega sonido", "Vuelve"),
    ],
)
def test_what_the_server_tells_of_itself_is_shown(
    monkeypatch: pytest.MonkeyPatch, language: str, gone: str, back: str
) -> None:
    """Missing sound and its return, a recognizer that hangs, little memory: a line each, in two languages."""
    monkeypatch.setenv("RTSTT_LANG", language)
    words, notes = screen(terminal=False), screen(terminal=False)
    with LiveView(words, notes) as view:
        view(0.0, StatusReceived(Status("recording", "recording", alert=Alert("no_audio", True, 2.0))))
        assert gone in written(notes).replace("\n", " ")
        view(1.0, StatusReceived(Status("recording", "recording", alert=Alert("no_audio", False))))
        assert back in written(notes).replace("\n", " ")
        told = len(written(notes))
        view(2.0, StatusReceived(Status("recording", "recording", alert=Alert("backpressure", True, 120.0))))
        view(2.0, StatusReceived(Status("recording", "recording")))
        assert len(written(notes)) == told
        view(3.0, StatusReceived(Status("recording", "recording", alert=Alert("hanging", True))))
        view(4.0, StatusReceived(Status("recording", "recording", alert=Alert("memory", True, 900.0))))
        assert "900 MB" in written(notes)
    assert written(words) == ""


@pytest.mark.requirement("L4", "R3", "U1")
@pytest.mark.parametrize(("language", "said"), [("en", "blocks over HTTP"), ("es", "por bloques sobre HTTP")])
def test_block_mode_is_not_taken_for_a_connection(
    monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    """When the last retry has failed the person reads that, and of a connection only when there is one."""
    monkeypatch.setenv("RTSTT_LANG", language)
    console = Console(file=io.StringIO(), width=200, color_system=None)
    steps = [
        (Shown.RECONNECTING, Link.RECONNECTING, Mode.STREAM, 1),
        (Shown.ERROR, Link.CLOSED, Mode.BLOCK, 2),
        (Shown.CONNECTING, Link.CONNECTING, Mode.BLOCK, 2),
        (Shown.ERROR, Link.CLOSED, Mode.BLOCK, 3),
        (Shown.RECORDING, Link.OPEN, Mode.STREAM, 4),
    ]
    with LiveView(console, console) as view:
        for shown, link, mode, lines in steps:
            view(0.0, StateChanged(shown, link, Phase.RECORDING, mode))
            assert len(written(console).splitlines()) == lines
    assert said in written(console).splitlines()[1]

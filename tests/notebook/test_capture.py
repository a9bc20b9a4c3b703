"""The widget's Python side: what it grants, what it keeps, and what it never lets into a notebook."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import ipywebrtc
import pytest
from traitlets import TraitError

from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import ServiceError
from rtstt_lab.notebook import LiveDemo, MicCapture
from rtstt_lab.notebook.servers import kernel_server

Page = tuple[MicCapture, "Queue[dict[str, Any]]", Callable[..., None]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """The one that the first page starts, and others find."""
    server = LocalServer(model="tiny.en", output=tmp_path_factory.mktemp("output"))
    yield server
    server.stop()


@pytest.fixture
def page(server: LocalServer) -> Iterator[Callable[[LocalServer], Page]]:
    """Makes a capture with a page that only listens: the widget, what it is sent, and how it speaks."""
    made: list[MicCapture] = []

    def make(server: LocalServer) -> Page:
        capture = MicCapture(server, model="tiny.en", language="en", ui_language="en")
        made.append(capture)
        sent: Queue[dict[str, Any]] = Queue()
        capture.send = sent.put
        return capture, sent, lambda **message: capture._handle_custom_msg(message, [])

    yield make
    for capture in made:
        capture.close()
        if capture.server is not server:
            capture.server.stop()


def final(segment: int, text: str) -> dict[str, Any]:
    """A final as the page tells it."""
    words = [
        {"text": f" {word}", "start_ms": 500 * i, "end_ms": 500 * i + 400, "probability": 0.9}
        for i, word in enumerate(text.split())
    ]
    return {
        "type": "server:transcription_final",
        "segment": segment,
        "text": text,
        "words": words,
        "confidence": 0.9,
        "language": "en",
        "audio_end_ms": 2_000,
        "event": segment + 1,
    }


def mirrored(
    start: int, *finals: dict[str, Any], partial: str = "", state: str = "recording"
) -> dict[str, Any]:
    """What the page tells ten times a second."""
    figures = {"n": 3, "mean_ms": 700, "p50_ms": 600, "p95_ms": 900}
    told = {
        "state": state,
        "mode": "block" if state == "error" else "stream",
        "partial": partial,
        "alerts": {"latency": 3.5},
        "latency": figures,
        "audio_s": 2.5,
    }
    return {"type": "mirror", **told, "file": "", "complete": False, "start": start, "finals": list(finals)}


@pytest.mark.requirement("C3", "M1", "A1")
def test_what_the_page_tells_becomes_attributes(page: Callable[[LocalServer], Page], tmp_path: Path) -> None:
    """State, text, latency and alerts can be observed; finals told twice are kept once."""
    capture, _, says = page(LocalServer(output=tmp_path))
    seen: list[str] = []
    capture.observe(lambda change: seen.append(change["new"]), "partial")
    says(**mirrored(0, partial="Good mor"))
    says(**mirrored(0, final(0, "Good morning."), partial="How"))
    says(**mirrored(0, final(0, "Good morning."), final(1, "How are you?")))  # a page that was loaded again
    assert seen == ["Good mor", "How", ""]
    assert capture.text == "Good morning.\nHow are you?"
    assert capture.state == "recording"
    assert capture.latency.p50_ms == 600
    assert capture.alerts == {"latency": 3.5}
    assert capture.words()["word"].tolist() == ["Good", "morning.", "How", "are", "you?"]
    assert capture.words()["start_s"].tolist() == [0.0, 0.5, 0.0, 0.5, 1.0]


@pytest.mark.requirement("L2", "S2")
def test_access_is_granted_and_nothing_secret_or_said_is_saved(
    page: Callable[[LocalServer], Page], server: LocalServer
) -> None:
    """The page is told its session, again with another token; neither token nor text is widget state."""
    capture, sent, says = page(server)
    says(type="access")
    first = sent.get(timeout=60)
    says(type="access")
    again = sent.get(timeout=60)
    assert first["type"] == again["type"] == "access"
    assert first["session_id"] == again["session_id"] == capture.session_id
    assert first["token"] != again["token"]
    assert first["port"] == capture.server.port
    says(type="renew")
    assert sent.get(timeout=60)["session_id"] != first["session_id"]

    says(**mirrored(0, final(0, "A secret sentence."), partial="and more"))
    saved = json.dumps(capture.get_state(), default=str)
    for kept_out in (first["token"], again["token"], capture.server.token, "secret sentence", "and more"):
        assert kept_out not in saved


@pytest.mark.requirement("S3")
def test_the_session_is_opened_to_the_pages_origin_alone(
    page: Callable[[LocalServer], Page], server: LocalServer
) -> None:
    """What the page says of itself reaches the server with the session, and again when it is loaded anew."""
    capture, sent, says = page(server)

    def may_look(origin: str) -> bool:
        path = f"{capture.server.url}/api/streaming/sessions/{capture.session_id}"
        headers = {"Authorization": f"Bearer {capture.server.token}", "Origin": origin}
        return httpx.get(path, headers=headers, timeout=60).status_code == 200

    says(type="access", origin="https://hub.example.org")
    assert sent.get(timeout=60)["exposed"] is False
    assert may_look("https://hub.example.org")
    assert not may_look("http://localhost:8888")
    says(type="access", origin="http://localhost:8888")
    sent.get(timeout=60)
    assert may_look("http://localhost:8888")
    assert not may_look("https://evil.example")


@pytest.mark.requirement("S3")
def test_a_panel_knows_that_its_server_is_exposed(
    page: Callable[[LocalServer], Page], tmp_path: Path
) -> None:
    """A server that was started with --insecure beyond loopback says so in its log and to the page."""
    arguments = ["--host", "0.0.0.0", "--insecure"]
    server = LocalServer(model="tiny.en", output=tmp_path, arguments=arguments)
    _, sent, says = page(server)
    says(type="access")
    assert sent.get(timeout=60)["exposed"] is True
    assert any("0.0.0.0" in line and "other machines" in line for line in server.messages) or any(
        "0.0.0.0" in line and "otras máquinas" in line for line in server.messages
    )


@pytest.mark.requirement("L5", "O1")
def test_finished_session_is_shown_to_a_page_that_was_loaded_again(
    page: Callable[[LocalServer], Page], tmp_path: Path
) -> None:
    """Its text comes from Python, since the server has forgotten it; no server is started for it."""
    server = LocalServer(output=tmp_path)
    _, sent, says = page(server)
    says(**mirrored(0, final(0, "All said."), state="completed"))
    says(type="access")
    told = sent.get(timeout=60)
    assert told["type"] == "finished"
    assert "phase" not in told, "it did not fail"
    assert not server.running
    assert [final["text"] for final in told["finals"]] == ["All said."]


@pytest.mark.requirement("R2", "O1")
def test_text_outlives_its_session(page: Callable[[LocalServer], Page], server: LocalServer) -> None:
    """A page that is loaded again after the session has gone is shown the text, until a new one is wanted."""
    capture, sent, says = page(server)
    says(type="access")
    first = sent.get(timeout=60)
    says(**mirrored(0, final(0, "Good morning."), partial="How", state="error"))
    address = f"{capture.server.url}/api/streaming/sessions/{capture.session_id}"
    headers = {"Authorization": f"Bearer {first['token']}"}
    assert httpx.delete(address, headers=headers, timeout=60).status_code == 204
    says(type="access")
    told = sent.get(timeout=60)
    assert (told["type"], told["shown"], told["phase"]) == ("finished", "error", "failed")
    assert [each["text"] for each in told["finals"]] == ["Good morning."]
    assert (capture.text, capture.state) == ("Good morning.", "error")
    says(type="renew")
    assert sent.get(timeout=60)["session_id"] != first["session_id"]
    assert capture.text == ""


@pytest.mark.requirement("U1")
def test_failures_are_told_to_the_page(page: Callable[[LocalServer], Page], tmp_path: Path) -> None:
    """A server that does not start, and a message that makes no sense, are shown in the widget."""
    capture, sent, says = page(LocalServer(output=tmp_path, arguments=["--no-such-option"]))
    says(type="access")
    told = sent.get(timeout=60)
    assert told["type"] == "problem"
    assert isinstance(capture.error, ServiceError)
    assert "--no-such-option" in capture.error.localized("es")
    says(type="mirror", state="nonsense")
    assert sent.get(timeout=60)["key"] == "notebook_failed"


@pytest.mark.requirement("D1")
def test_the_microphone_is_asked_for_mono_at_16_khz_in_short_chunks(tmp_path: Path) -> None:
    """What the browser is asked for; chunks shorter than 200 ms or longer than 500 are refused."""
    capture = MicCapture(LocalServer(output=tmp_path))
    voice = capture.stream.constraints["audio"]
    assert (voice["channelCount"], voice["sampleRate"]) == (1, 16_000)
    assert 200 <= capture.timeslice_ms <= 500
    for wrong_ms in (199, 501):
        with pytest.raises(TraitError):
            capture.timeslice_ms = wrong_ms
    capture.close()


def test_recordings_are_played_once(tmp_path: Path) -> None:
    """A file that would start over has no end to stop at."""
    (tmp_path / "talk.wav").write_bytes(b"RIFF")
    stream = ipywebrtc.AudioStream.from_file(str(tmp_path / "talk.wav"))
    assert stream.audio.loop
    capture = MicCapture(LocalServer(output=tmp_path), stream=stream)
    assert not stream.audio.loop
    capture.close()


@pytest.mark.requirement("C3", "U1")
@pytest.mark.parametrize(("language", "label"), [("en", "Language"), ("es", "Idioma")])
def test_panel_speaks_both_languages_and_starts_nothing_unseen(
    tmp_path: Path, language: str, label: str
) -> None:
    """A panel that no browser shows runs no server; its controls are labelled in the person's language."""
    demo = LiveDemo("tiny.en", "en", language, output=tmp_path)
    assert label in {child.description for child in demo.children[0].children[:2]}
    assert demo.capture.server is kernel_server(tmp_path)
    assert not demo.capture.server.running
    assert demo.words().empty
    assert demo.file is None
    demo.close()


@pytest.mark.requirement("D3", "R2", "M3")
def test_export_needs_no_server(tmp_path: Path) -> None:
    """What is final can be written in every form at any time; the saved transcript is never written over."""
    demo = LiveDemo("tiny.en", "en", output=tmp_path)
    demo.capture.session_id = "5e551017"
    demo.capture._handle_custom_msg(mirrored(0, final(0, "Good morning."), state="error"), [])
    assert demo.capture.mode == "block"
    exported = json.loads(demo.export("json").read_text("utf-8"))
    assert exported["text"] == "Good morning."
    assert "Good morning." in demo.export("srt").read_text("utf-8")
    assert demo.export("txt") == tmp_path / "5e551017.txt"

    saved = tmp_path / "transcripcion_20260101_120000.txt"
    saved.write_text("as saved", "utf-8")
    demo.capture.file = str(saved)
    assert demo.export("txt") == saved
    assert saved.read_text("utf-8") == "as saved"
    assert demo.export("vtt") == saved.with_suffix(".vtt")
    demo.close()


@pytest.mark.requirement("R1", "U1", "L4")
def test_a_server_that_died_comes_back_and_its_panels_say_so(tmp_path: Path) -> None:
    """Killed while a session is open: same port, same session, a note in each person's language."""
    server = LocalServer(model="tiny.en", output=tmp_path)
    words = {"en": "nothing was lost", "es": "no se ha perdido nada"}
    panels = {
        language: LiveDemo("tiny.en", "en", language, output=tmp_path, server=server) for language in words
    }
    noted: dict[str, Queue[str]] = {language: Queue() for language in words}
    for language, panel in panels.items():
        panel._note.observe(lambda change, notes=noted[language]: notes.put(change["new"]), "value")
    sent: Queue[dict[str, Any]] = Queue()
    capture = panels["es"].capture
    capture.send = sent.put
    capture._handle_custom_msg({"type": "access", "origin": "http://localhost:8888"}, [])
    granted = sent.get(timeout=60)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    for language, said in words.items():
        while said not in noted[language].get(timeout=60):
            pass
    capture._handle_custom_msg({"type": "access", "origin": "http://localhost:8888"}, [])
    again = sent.get(timeout=60)
    assert (again["session_id"], again["port"]) == (granted["session_id"], granted["port"])
    assert again["token"] != granted["token"]
    for panel in panels.values():
        panel.close()
    server.stop()

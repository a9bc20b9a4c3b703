"""The live demo as a person uses it: JupyterLab, a microphone, words that appear while one speaks."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
import soundfile
from playwright.sync_api import Page, expect
from tests.browser.lab import (
    PATIENCE_MS,
    Browser,
    browser,
    chromium,
    end_kernel,
    jupyter_lab,
    open_notebook,
    run_all_cells,
)

from rtstt_lab.analysis.wer import normalizer, word_errors

CLIP = "en_laboratory"
TRAILING_SILENCE_S = 4.0
LONGER_S = 6.0
"""Silence put into the longest one: room for a slow machine to press two buttons in it."""
PICTURE = os.environ.get("RTSTT_PICTURE")
"""File for the README's picture; none is taken if this is not set."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        chromium() is None and os.environ.get("RTSTT_REQUIRE_BROWSER") != "1",
        reason="no Chromium on this machine: the tests in a browser are left out",
    ),
]


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Attributes:
        address: of its server.
        folder: what it shows.
    """

    address: str
    folder: Path


@pytest.fixture(scope="module")
def lab(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of the notebook, with nothing of this machine's user."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")
    shutil.copy(root / "notebooks/01_live_demo.ipynb", folder)
    with jupyter_lab(folder, home, {"RTSTT_LANG": "en"}) as address:
        yield Lab(address, folder)


@pytest.fixture
def encrypted_lab(tmp_path: Path) -> Iterator[Lab]:
    """Another one, over https."""
    folder, home = tmp_path / "notebooks", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    with jupyter_lab(folder, home, {"RTSTT_LANG": "en"}, encrypted=True) as address:
        yield Lab(address, folder)


@dataclass(frozen=True)
class Clip:
    """The shipped recording, as a microphone.

    Attributes:
        wav: with more silence in it, and behind it: a fake microphone repeats its last 10 ms for ever.
        text: what it says.
        duration_s: without the silence behind it.
        silence_s: beginning and end of the longest one inside.
    """

    wav: Path
    text: str
    duration_s: float
    silence_s: tuple[float, float]


@pytest.fixture(scope="module")
def clip(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The English sample."""
    registry = json.loads((root / "data/corpora/samples.json").read_text("utf-8"))
    text = next(str(entry["reference"]) for entry in registry["recordings"] if entry["id"] == CLIP)
    with (root / f"data/samples/{CLIP}.csv").open(encoding="utf-8") as table:
        rows = [(float(row["start_s"]), float(row["end_s"])) for row in csv.DictReader(table)]
    silences = [(end_s, start_s) for (_, end_s), (start_s, _) in pairwise(rows)]
    samples, rate = soundfile.read(root / f"data/samples/{CLIP}.flac", dtype="float32")
    wav = tmp_path_factory.mktemp("microphone") / "clip.wav"
    begin_s, end_s = max(silences, key=lambda silence: silence[1] - silence[0])
    middle = round((begin_s + end_s) / 2 * rate)
    longer, trailing = (np.zeros(round(s * rate), np.float32) for s in (LONGER_S, TRAILING_SILENCE_S))
    parts = [samples[:middle], longer, samples[middle:], trailing]
    soundfile.write(wav, np.concatenate(parts), rate, subtype="PCM_16")
    return Clip(wav, text, len(samples) / rate + LONGER_S, (begin_s, end_s + LONGER_S))


@pytest.fixture(scope="module")
def spanish(root: Path, lab: Lab) -> str:
    """A notebook that plays the Spanish sample, a long pause within, into the demo."""
    return notebook_that_plays(lab, root / "data/samples/es_laboratory.flac", 60.0, "base", "es")


def notebook_that_plays(lab: Lab, flac: Path, length_s: float, model: str, language: str) -> str:
    """Writes the beginning of a recording and a notebook whose only cell plays it into the demo."""
    name = f"{flac.stem}-{length_s:.0f}"
    samples, rate = soundfile.read(flac, frames=round(length_s * 16_000))
    soundfile.write(lab.folder / f"{name}.wav", samples, rate, subtype="PCM_16")
    cell = nbformat.v4.new_code_cell(
        f"""from ipywebrtc import AudioStream
from rtstt_lab.notebook import LiveDemo
stream = AudioStream.from_file("{name}.wav")
LiveDemo("{model}", "{language}", "es", output="output-{name}", stream=stream)"""
    )
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), lab.folder / f"{name}.ipynb")
    return f"{name}.ipynb"


@pytest.mark.requirement("C1", "C3", "D1", "D3", "L1", "L2", "L3", "L5", "L6", "M1", "U1")
def test_speech_becomes_text_while_it_is_spoken(lab: Lab, clip: Clip) -> None:
    """Start, changing partials, Pause in a silence, Resume, Stop, Completed: the clip's words, in a file."""
    with browser(clip.wav) as found:
        page = found.page
        open_notebook(page, lab.address, "01_live_demo.ipynb")
        assert run_all_cells(page)
        demo = Demo(page)
        demo.await_state("Connected")
        if PICTURE:
            demo.make_room()

        began_ms = demo.press_start()
        demo.await_change_of_partials()
        if PICTURE:
            demo.take_picture(Path(PICTURE))
        demo.await_time(began_ms + 1000 * (clip.silence_s[0] + 0.4))
        demo.press("Pause", "Paused")
        demo.press("Resume", "Recording")
        assert demo.time_ms() < began_ms + 1000 * clip.silence_s[1], (
            "the silence was over before recording went on"
        )
        demo.await_time(began_ms + 1000 * (clip.duration_s + 0.5))
        demo.press("Stop", "Completed")

        file = Path(demo.saved_file())
        assert file.parent == lab.folder / "output"
        head, _, body = file.read_text("utf-8").partition("\n\n")
        assert "complete" in head
        errors = word_errors(clip.text, body, normalizer("en"))
        assert errors.rate <= 0.15, body
        assert normalizer("en")(demo.transcript()) == normalizer("en")(body)
        assert found.complaints == []


@pytest.mark.requirement("C3", "L1", "L5", "O1", "U1", "U2")
def test_spanish_recording_survives_a_reload_and_the_end_of_its_kernel(lab: Lab, spanish: str) -> None:
    """A file takes the microphone's way; a reloaded page goes on; a dying kernel saves what was said."""
    with recording(lab, spanish) as (found, demo):
        page = found.page
        expect(demo.finals.first).to_be_visible(timeout=PATIENCE_MS)
        said = demo.transcript()
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

        page.reload()
        demo.await_state("En pausa")
        assert demo.transcript().startswith(said)
        demo.press("Reanudar", "Grabando")
        end_kernel(page)
        written = await_file(lab.folder / f"output-{Path(spanish).stem}")
        assert normalizer("es")(said) in normalizer("es")(written)
        assert found.complaints == []


@pytest.mark.requirement("C3", "L5", "S3")
def test_a_recording_that_is_over_ends_its_session(encrypted_lab: Lab, root: Path) -> None:
    """Nobody presses Stop: the file ends, its last words are in the transcript; over https, by wss alone."""
    lab = encrypted_lab
    notebook = notebook_that_plays(lab, root / "data/samples/en_laboratory.flac", 4.1, "tiny.en", "en")
    with recording(lab, notebook) as (found, demo):
        demo.await_state("Completado")
        assert normalizer("en")(demo.transcript()).endswith("speech recognition")
        assert found.complaints == []
        assert [url for url in found.sockets if "/proxy/" in url]
        assert not [url for url in found.sockets if not url.startswith("wss://127.0.0.1:")]


@pytest.mark.requirement("R2", "R3", "L1")
def test_a_person_switches_to_block_mode_and_back(lab: Lab, root: Path) -> None:
    """In blocks, through the proxy, recording goes on and text appears; then the stream takes over again."""
    notebook = notebook_that_plays(lab, root / "data/samples/en_laboratory.flac", 40.0, "tiny.en", "en")
    with recording(lab, notebook) as (found, demo):
        demo.press("Modo por bloques", "Error")
        expect(demo.card.locator(".rtstt-hint")).to_contain_text("Modo por bloques", timeout=PATIENCE_MS)
        expect(demo.finals.first).to_be_visible(timeout=PATIENCE_MS)
        demo.press("Reconectar", "Grabando")
        demo.press("Detener", "Completado")
        assert normalizer("en")(demo.transcript()).startswith("welcome to the laboratory for real time")
        assert found.complaints == []


@pytest.mark.requirement("L4")
def test_a_server_that_falls_silent_behind_the_proxy_is_noticed(lab: Lab, root: Path) -> None:
    """JupyterLab keeps the socket, the server stands still: Reconnecting is shown, and then it goes on."""
    notebook = notebook_that_plays(lab, root / "data/samples/en_laboratory.flac", 40.0, "tiny.en", "en")
    with recording(lab, notebook) as (_, demo):
        server = rtstt_server(notebook)
        server.suspend()
        try:
            demo.await_state("Reconectando", timeout_s=20)
        finally:
            server.resume()
        demo.await_state("Grabando")
        demo.press("Detener", "Completado")
        assert "microphone picks up the voice in small" in normalizer("en")(demo.transcript())


@contextmanager
def recording(lab: Lab, notebook: str) -> Iterator[tuple[Browser, Demo]]:
    """A page on which a notebook's demo records, in Spanish."""
    with browser() as found:
        open_notebook(found.page, lab.address, notebook)
        assert run_all_cells(found.page)
        demo = Demo(found.page)
        demo.await_state("Conectado")
        demo.press("Empezar", "Grabando")
        yield found, demo


def rtstt_server(notebook: str) -> psutil.Process:
    """The server of a notebook's kernel."""
    folder = f"output-{Path(notebook).stem}"
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # one of a browser's that ended meanwhile
            command = process.cmdline()
            if "serve" in command and any(folder in part for part in command):
                found.append(process)
    (server,) = found
    return server


class Demo:
    """The panel, as its user sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.card = page.locator(".rtstt-capture")
        self.finals = self.card.locator("[role=log] .rtstt-line > span")
        self.badge = self.card.locator(".rtstt-badge")

    def await_state(self, name: str, *, timeout_s: float = PATIENCE_MS / 1000) -> None:
        """Waits until the badge says so."""
        expect(self.badge).to_have_text(name, timeout=1000 * timeout_s)

    def press(self, button: str, state: str) -> None:
        """Presses a button and waits for the state that it leads to."""
        self.card.get_by_role("button", name=button, exact=True).click()
        self.await_state(state)

    def press_start(self) -> float:
        """Presses Start; the page's clock at that moment, in ms: the fake microphone starts its file then."""
        began_ms = self.time_ms()
        self.press("Start", "Recording")
        return began_ms

    def time_ms(self) -> float:
        """The page's clock."""
        return float(self.page.evaluate("() => performance.now()"))

    def await_time(self, at_ms: float) -> None:
        """Waits for a moment of the clip."""
        self.page.wait_for_function("at => performance.now() >= at", arg=at_ms)

    def await_change_of_partials(self) -> None:
        """Waits until three different texts stood where the text may still change."""
        self.page.wait_for_function(
            """() => {
              const seen = (window.partialsSeen ??= new Set());
              const text = document.querySelector('.rtstt-partial').textContent;
              if (text) seen.add(text);
              return seen.size >= 3;
            }"""
        )

    def transcript(self) -> str:
        """The final text."""
        return " ".join(self.finals.all_inner_texts())

    def saved_file(self) -> str:
        """The path that the panel names."""
        return self.card.locator(".rtstt-saved").inner_text().removeprefix("Saved: ")

    def make_room(self) -> None:
        """For the picture: only the notebook."""
        for command in ("application:toggle-left-area", "statusbar:toggle"):
            self.page.evaluate("command => window.jupyterapp.commands.execute(command)", command)

    def take_picture(self, file: Path) -> None:
        """While words appear: a line that is settled, and words that may still change."""
        self.card.evaluate("card => card.closest('.jp-Cell').scrollIntoView()")
        with suppress(AssertionError):  # a slow machine has a picture, too
            expect(self.finals.first).to_be_visible(timeout=10_000)
            expect(self.card.locator(".rtstt-tentative").nth(3)).to_be_visible(timeout=5_000)
        panel = self.page.locator(".rtstt-panel").bounding_box()
        below = panel["y"] + panel["height"] + 8
        self.page.screenshot(path=file, clip={"x": 0, "y": 0, "width": 1180, "height": below})


def await_file(folder: Path, timeout_s: float = PATIENCE_MS / 1000) -> str:
    """Waits for the one transcript in a folder; it comes whole or not at all."""
    deadline_s = time.monotonic() + timeout_s
    while not (files := list(folder.glob("*.txt"))):
        assert time.monotonic() < deadline_s, f"no transcript in {folder}"
        time.sleep(0.1)
    return files[0].read_text("utf-8")

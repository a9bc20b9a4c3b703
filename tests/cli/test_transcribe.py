"""``rtstt transcribe`` with a real server and a real model."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
import soundfile

from rtstt_lab.client.local import LocalServer
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ

from .conftest import Begin, Run

LEDGER = ["captured", "transmitted", "accepted", "duplicate", "rejected", "cut", "lost", "held"]


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first sentence of the made English sample."""
    path = tmp_path_factory.mktemp("clips") / "sentence.flac"
    soundfile.write(
        path, load_audio(Corpus.shipped("en")["en_laboratory"])[: 5 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ
    )
    return path


@pytest.mark.requirement("D3", "M1", "M3")
def test_json_is_one_object_a_file(rtstt: Run, sentence: Path, tmp_path: Path) -> None:
    """Two files, as fast as it goes: two lines of JSON with all fields, and two transcripts saved."""
    done = rtstt(
        "transcribe", sentence, sentence, "--model", "tiny.en", "--fast", "--json", "--output", "out"
    )
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["text"] == second["text"]
    assert first["text"].startswith("Welcome to the laboratory")
    assert first["language"] == "en"
    assert set(first["words"][0]) == {"word", "start_s", "end_s", "probability", "emitted_s"}
    assert "".join(word["word"] for word in first["words"]) == first["text"].replace(" ", "")
    assert all(set(partial) == {"emitted_s", "text"} for partial in first["partials"])
    metrics = first["metrics"]
    assert set(metrics) == {"final_latency_s", "partial_latency_s", "cpu_per_audio_s", "confidence", "chunks"}
    assert metrics["final_latency_s"] == {"mean": None, "p50": None, "p95": None}
    assert list(metrics["chunks"]) == LEDGER
    assert metrics["chunks"]["captured"] == metrics["chunks"]["accepted"] == 10
    assert metrics["cpu_per_audio_s"] > 0
    assert 0.5 < metrics["confidence"] <= 1
    signature = first["signature"]
    assert signature["clock"] == "fast"
    assert signature["model"].startswith("tiny.en 1a5afae06a4d")
    assert all(signature[key] for key in ("policy", "chunk_ms", "corpus", "version", "machine"))
    saved = sorted((tmp_path / "out").glob("transcripcion_*.txt"))
    assert [path.name for path in saved] == sorted(Path(each["file"]).name for each in (first, second))


def test_in_real_time_latencies_are_measured(rtstt: Run, sentence: Path, server: LocalServer) -> None:
    """Without --fast the words' and the chunks' latencies are figures, in seconds."""
    asked = ("transcribe", sentence, "--server", server.url, "--language", "en", "--json")
    done = rtstt(*asked, RTSTT_TOKEN=server.token)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    for name in ("final_latency_s", "partial_latency_s"):
        assert 0 < metrics[name]["p50"] <= metrics[name]["p95"] < 20


def test_subtitles_are_printed_and_saved(
    rtstt: Run, sentence: Path, tmp_path: Path, server: LocalServer
) -> None:
    """With --format srt stdout is cues and nothing else; a folder that was named gets the same."""
    wishes = ("--server", server.url, "--fast", "--format", "srt", "--output", "subtitles")
    done = rtstt("transcribe", sentence, *wishes, RTSTT_TOKEN=server.token)
    assert done.stdout.startswith("1\n00:00:0"), done.stderr
    (saved,) = (tmp_path / "subtitles").glob("*.srt")
    assert saved.read_text("utf-8") == done.stdout


@pytest.mark.requirement("S1")
def test_a_server_that_runs_already(rtstt: Run, sentence: Path, tmp_path: Path, server: LocalServer) -> None:
    """A bad file and a good one: stdout is the good one's text, stderr names the bad one, no file is left."""
    asked = ("transcribe", "missing.wav", sentence, "--server", server.url, "--fast")
    done = rtstt(*asked, RTSTT_TOKEN=server.token)
    assert done.returncode == 1
    assert "missing.wav" in done.stderr
    assert done.stdout.startswith("Welcome to the laboratory")
    assert "\x1b" not in done.stdout + done.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.requirement("S1")
def test_a_wrong_token_is_refused(rtstt: Run, sentence: Path, server: LocalServer) -> None:
    """The server's refusal is said in the person's language."""
    asked = ("transcribe", sentence, "--server", server.url)
    refused = rtstt(*asked, RTSTT_TOKEN="x" * 20, LANG="es_ES.UTF-8")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: Falta el token")
    assert refused.stdout == ""


@pytest.mark.requirement("D3")
def test_a_reader_that_goes_away_costs_no_transcript(
    begun: Begin, sentence: Path, server: LocalServer, tmp_path: Path
) -> None:
    """What was recognised is in the named folder before it is printed where nobody reads."""
    asked = ("transcribe", sentence, "--fast", "--json", "--server", server.url, "--output", "out")
    process = begun(*asked, RTSTT_TOKEN=server.token)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    (saved,) = (tmp_path / "out").iterdir()
    assert "Welcome to the laboratory" in saved.read_text("utf-8")
    assert "Traceback" not in said


def test_ctrl_c_while_the_model_loads_leaves_nothing_behind(begun: Begin, sentence: Path) -> None:
    """Ctrl-C before anything was streamed: exit code 130, no traceback, and no server that goes on."""
    process = begun("transcribe", sentence, "--model", "tiny.en")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Loading model")
    parent = psutil.Process(process.pid)
    while not (children := parent.children()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert (said, errors) == ("", "")
    assert not any(child.is_running() for child in children)


@pytest.mark.requirement("R1")
def test_ctrl_c_prints_and_saves_what_is_final(begun: Begin, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a recording: exit code 130, and the file holds what was printed."""
    clip = Corpus.shipped("en")["en_laboratory"].path()
    process = begun("transcribe", clip, "--model", "tiny.en", LANG="es_ES.UTF-8")
    assert process.stdout is not None
    first_line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert first_line.startswith("Welcome")
    (saved,) = (tmp_path / "output").glob("transcripcion_*.txt")
    text = saved.read_text("utf-8")
    assert all(line in text for line in (first_line + rest).splitlines())
    assert "Guardado: " in errors


@pytest.mark.requirement("U1", "U2")
def test_the_demonstration_can_be_cut_short_and_still_reports(begun: Begin) -> None:
    """``rtstt demo`` in Spanish without a terminal: text, then the table, without control codes."""
    process = begun("demo", LANG="es_ES.UTF-8")
    assert process.stdout is not None
    head = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "es_laboratory" in head[0]
    assert "bienvenidos" in head[1].lower()
    assert "\x1b" not in rest
    for heading in (
        "Latencia (s)",
        "bajo 2 s",
        "sobre 3 s",
        "Confianza",
        "Fragmentos",
        "CPU",
        "Transcripción",
    ):
        assert heading in rest

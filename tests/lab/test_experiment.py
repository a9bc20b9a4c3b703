"""Experiments: runs with everything about them, kept on disk, and compared."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rtstt_lab.analysis.runs import Runs
from rtstt_lab.errors import StorageError, UsageError
from rtstt_lab.lab.compare import Comparison, compare, scorecard
from rtstt_lab.lab.experiment import Experiment
from rtstt_lab.lab.keeping import signature_of
from rtstt_lab.recognition.streaming import RecognizerSettings
from rtstt_lab.records import SCHEMA
from rtstt_lab.replay.corpus import Corpus
from rtstt_lab.replay.faults import FaultSchedule
from rtstt_lab.replay.machine import Fitted

CUTS = FaultSchedule.cuts((2.02, 1.5), (6.02, 1.0))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    """Ten seconds of one reader through tiny.en, at a fixed cost."""
    corpus = Corpus.shipped("en").filter(ids=["en_beckett"])
    return Experiment(corpus=corpus, model="tiny.en", cost=Fitted(step_s=0.1, settle_s=0.15))


@pytest.fixture(scope="module")
def kept(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs, list[float]]:
    """A run over two cuts, kept on disk, and what its progress said."""
    folder, told = tmp_path_factory.mktemp("runs"), []
    conditions = {"faults": CUTS, "name": "cut", "folder": folder}
    runs = Experiment(**{**vars(experiment), **conditions}).run(
        progress=lambda done, _total, _what: told.append(done)
    )
    return folder, runs, told


@pytest.mark.requirement("C4", "C6")
def test_a_run_is_kept_with_everything_about_it(kept: tuple[Path, Runs, list[float]]) -> None:
    """One folder a run; read again it says the same; meta names what was run, and no place."""
    folder, runs, _ = kept
    (run,) = Runs.load(folder)
    assert run.id == "cut-tiny.en-streaming-en_beckett"
    assert {path.name for path in (folder / run.id).iterdir()} == {
        "meta.json",
        "events.jsonl",
        *(f"{table}.parquet" for table in SCHEMA),
    }
    assert run.text == runs[run.id].text
    assert run.ledger.balanced()
    assert run.outages == [(2.02, 3.52), (6.02, 7.02)]
    assert run.meta["system"] == "tiny.en · streaming"
    assert FaultSchedule.from_json(run.meta["faults"]) == CUTS
    assert str(folder) not in (folder / run.id / "meta.json").read_text("utf-8")
    assert (run.tables["states"]["kind"] == "fault").sum() == 2


@pytest.mark.requirement("M1")
def test_speech_is_told_by_a_detector_over_the_clean_audio(kept: tuple[Path, Runs, list[float]]) -> None:
    """Chunks of speech and others are told apart, and latency counts to the true end of speech."""
    run = next(iter(kept[1]))
    speech = run.tables["chunks"]["speech"]
    assert 0 < speech.sum() < len(speech)
    assert 8.0 < run.meta["speech_end_s"] < 9.6
    assert run.end_latency_s() > 0


def test_progress_goes_to_the_end(kept: tuple[Path, Runs, list[float]], experiment: Experiment) -> None:
    """What is told only grows, and ends with all of the audio."""
    told = kept[2]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(next(iter(experiment.corpus)).duration_s)


def test_a_run_is_not_written_over(kept: tuple[Path, Runs, list[float]], experiment: Experiment) -> None:
    """The same experiment into the same folder is refused."""
    conditions = {"faults": CUTS, "name": "cut", "folder": kept[0]}
    with pytest.raises(StorageError):
        Experiment(**{**vars(experiment), **conditions}).run()


def test_an_executor_gives_the_same_runs(
    experiment: Experiment, kept: tuple[Path, Runs, list[float]]
) -> None:
    """Any executor may do the work; with a fitted cost the words and their times are the same."""
    with ThreadPoolExecutor(1) as executor:
        conditions = {"faults": CUTS, "name": "cut"}
        (run,) = Experiment(**{**vars(experiment), **conditions}).run(executor=executor)
    columns = ["word", "start_s", "emitted_s"]
    assert run.tables["words"][columns].equals(next(iter(kept[1])).tables["words"][columns])


def test_real_time_takes_the_servers_settings(experiment: Experiment) -> None:
    """Settings that a server would not follow are refused before anything starts."""
    with pytest.raises(UsageError):
        Experiment(
            corpus=experiment.corpus, settings=RecognizerSettings(beam_size=1), clock="real-time"
        ).run()


@pytest.fixture(scope="module")
def comparison(experiment: Experiment) -> Comparison:
    return compare(["tiny.en"], experiment)


@pytest.mark.requirement("C5")
def test_a_comparison_has_streaming_beside_offline(comparison: Comparison) -> None:
    """One row a system: errors, confidence and CPU for both, latency for streaming only, a signature each."""
    scores = comparison.scores
    assert list(scores.index) == ["tiny.en · streaming", "tiny.en · offline"]
    assert (scores["wer"] == 0).all()
    assert (scores["cpu_per_audio_s"] > 0).all()
    assert scores["confidence"].between(0.5, 1).all()
    streaming, offline = (scores.loc[name] for name in scores.index)
    assert 0.2 < streaming["latency_mean_s"] < streaming["latency_p95_s"] < 5
    assert streaming["shown_p50_s"] < streaming["latency_p50_s"]
    assert math.isnan(offline["latency_mean_s"])
    assert set(comparison.signatures) == set(scores.index)
    assert "whisper-english" in str(comparison.signatures["tiny.en · offline"])


def test_scores_can_be_named_by_any_condition(
    kept: tuple[Path, Runs, list[float]], comparison: Comparison
) -> None:
    """Cuts against none: later, no more errors; each figure has its conditions."""
    streaming = comparison.runs.filter(mode="streaming")
    scores = scorecard(streaming + kept[1], by="network")
    assert list(scores.index) == ["clean", str(CUTS)]
    assert scores["latency_mean_s"].iloc[1] > scores["latency_mean_s"].iloc[0]
    assert scores["incomplete"].tolist() == [0, 0]
    assert signature_of(next(iter(kept[1])), "x").network == str(CUTS)

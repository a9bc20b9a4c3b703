"""Figures against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from rtstt_lab.analysis import metrics
from rtstt_lab.analysis.metrics import Ledger, Signature

WORDS = pd.DataFrame(
    {
        "word": [" no", " no", " yes"],
        "start_s": [0.0, 0.5, 1.0],
        "end_s": [0.4, 0.9, 1.4],
        "probability": [0.5, 0.7, 0.9],
        "shown_s": [0.7, 1.2, 1.7],
        "shown_heard_s": [0.5, 1.0, 1.5],
        "changed_s": [0.7, 1.6, 1.7],
        "emitted_s": [1.4, 1.9, 2.9],
        "emitted_heard_s": [1.0, 1.5, 1.5],
    }
)


def views(*rows: tuple[str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "kind": kind,
                "segment": 0,
                "emitted_s": at_s,
                "text": text,
                "words": [{"text": w} for w in text.split()],
            }
            for kind, at_s, text in rows
        ]
    )


@pytest.mark.parametrize(
    ("reading", "aware", "expected"),
    [
        ("shown", True, [0.3, 0.3, 0.3]),
        ("changed", True, [0.3, 0.7, 0.3]),
        ("emitted", True, [1.0, 1.0, 1.5]),
        ("shown", False, [0.1, 0.1, 0.1]),
        ("emitted", False, [0.6, 0.6, 0.1]),
    ],
)
def test_word_latency_counts_from_the_words_end(reading: str, aware: bool, expected: list[float]) -> None:
    """Each reading is emission − end of the word, on the wall clock or on the audio clock."""
    got = metrics.word_latencies(WORDS, reading=reading, aware=aware)
    assert got["latency_s"].tolist() == pytest.approx(expected)


def test_a_change_is_known_by_the_wall_clock_only() -> None:
    """There is no computation-unaware reading of the last change."""
    with pytest.raises(ValueError, match="changed"):
        metrics.word_latencies(WORDS, reading="changed", aware=False)


def test_a_pause_is_no_latency() -> None:
    """Audio recorded after a pause of 10 s is due 10 s later on the client's clock."""
    chunks = pd.DataFrame({"audio_s": [0.0, 1.0], "duration_s": [1.0, 1.0], "captured_s": [0.0, 11.0]})
    assert metrics.capture_time(chunks, [0.5, 1.0, 1.5, 2.0]).tolist() == [0.5, 1.0, 11.5, 12.0]
    late = WORDS.assign(emitted_s=[1.4, 1.9, 12.9])
    assert metrics.word_latencies(late, chunks)["latency_s"].tolist() == pytest.approx([1.0, 1.0, 1.5])


def test_latency_against_a_reference_counts_the_words_that_never_came() -> None:
    """Times are the reference's; repeated words keep their own; an unmatched word has no latency."""
    reference = pd.DataFrame(
        {
            "word": ["No", "no,", "maybe", "yes"],
            "start_s": [0.1, 0.6, 0.95, 1.1],
            "end_s": [0.3, 0.8, 1.0, 1.5],
        }
    )
    got = metrics.word_latencies(WORDS, reference=reference)
    assert got["latency_s"].tolist() == pytest.approx([1.1, 1.1, math.nan, 1.4], nan_ok=True)
    assert metrics.describe(got["latency_s"], rng=np.random.default_rng(0)).missing == 1


def test_runs_are_kept_apart() -> None:
    """Two runs in one frame give the rows of each; one's reference does not serve another."""
    both = pd.concat([WORDS.assign(run="a"), WORDS.assign(run="b")])
    reference = WORDS[["word", "start_s", "end_s"]].assign(run="c")
    assert metrics.word_latencies(both)["run"].tolist() == ["a"] * 3 + ["b"] * 3
    got = metrics.word_latencies(both, reference=reference)
    assert got["run"].tolist() == ["c"] * 3
    assert got["latency_s"].isna().all()


def test_end_latency_is_from_the_true_end_of_speech() -> None:
    """The last final counts from where speech ended, whatever the detector decided and when."""
    shown = views(("partial", 5.0, "a"), ("final", 4.0, "a"), ("final", 6.5, "b"))
    assert metrics.end_latency_s(shown, 5.2) == pytest.approx(1.3)
    assert math.isnan(metrics.end_latency_s(shown[shown["kind"] == "partial"], 5.2))


def test_the_first_partial_is_the_first_that_says_something() -> None:
    """An empty view is no first partial."""
    assert metrics.first_partial_s(views(("partial", 0.5, ""), ("partial", 0.9, "a")), 0.3) == pytest.approx(
        0.6
    )
    assert math.isnan(metrics.first_partial_s(views(("partial", 0.5, "")), 0.3))


def test_the_worst_gap_lies_within_speech() -> None:
    """Time without a commit counts while speech goes on, from its onset on, and a pause counts nothing."""
    spans = np.array([[0.0, 4.0], [10.0, 12.0]])
    assert metrics.worst_gap_s([1.0, 1.5, 4.5, 10.5], spans) == pytest.approx(2.5)
    assert metrics.worst_gap_s([], spans) == pytest.approx(6.0)
    assert metrics.speech_spans(WORDS).tolist() == [[0.0, 1.4]]


@pytest.mark.requirement("M1")
def test_partial_latency_of_chunks() -> None:
    """Sending to covering; never covered or sent counts until stop; non-speech is told apart."""
    chunks = pd.DataFrame(
        {
            "seq": [0, 1, 2, 3],
            "audio_s": [0.0, 0.25, 0.5, 0.75],
            "duration_s": 0.25,
            "captured_s": [0.0, 0.25, 0.5, 0.75],
            "sent_s": [0.25, 0.5, 0.75, np.nan],
            "covered_s": [0.8, 0.8, np.nan, np.nan],
            "speech": pd.array([True, True, True, False], dtype="boolean"),
        }
    )
    got = metrics.partial_latencies(chunks, stop_s=3.0)
    assert got["latency_s"].tolist() == pytest.approx([0.55, 0.3, 2.25, 2.0])
    assert got["covered"].tolist() == [True, True, False, False]
    unjudged = chunks.assign(speech=pd.array([pd.NA] * 4, dtype="boolean"))
    one_word = pd.DataFrame({"start_s": [0.3], "end_s": [0.6]})
    assert metrics.partial_latencies(unjudged, 3.0, one_word)["speech"].tolist() == [False, True, True, False]


def test_erasure_and_unstable_words() -> None:
    """A changed word in the middle erases all behind it, but only it is unstable."""
    shown = views(
        ("partial", 1.0, "the cap sat"),
        ("partial", 2.0, "the cat sat"),
        ("partial", 3.0, "the cat sat on"),
        ("final", 4.0, "the cat sat on"),
    )
    assert metrics.taken_back(shown)[["erased", "changed"]].sum().tolist() == [2, 1]
    assert metrics.normalized_erasure(shown) == pytest.approx(2 / 4)
    assert metrics.unstable_ratio(shown) == pytest.approx(1 / 4)
    assert math.isnan(metrics.unstable_ratio(shown[shown["kind"] == "partial"]))


def test_words_behind_a_final_stay_on_the_screen() -> None:
    """What a final leaves open goes on in the next segment; what then never comes again was taken back."""
    shown = views(
        ("partial", 1.0, "go now. then we"),
        ("final", 2.0, "go now."),
        ("partial", 2.0, "then we come"),
        ("final", 3.0, "then we come."),
    )
    assert metrics.taken_back(shown)["changed"].tolist() == [0, 0, 0, 1]
    cut_short = views(("partial", 1.0, "go now. then"), ("final", 2.0, "go now."))
    assert metrics.taken_back(cut_short)[["erased", "changed"]].sum().tolist() == [1, 1]


def test_the_ledger_balances_or_says_so() -> None:
    """Both equations hold, sums of ledgers too, and one chunk more breaks them."""
    ledger = Ledger(captured=10, transmitted=12, accepted=8, duplicate=1, rejected=1, cut=2, lost=1, held=1)
    assert ledger.balanced()
    assert metrics.read_ledger(asdict(ledger) | {"more": 1}) == ledger
    assert metrics.total_ledger([ledger, ledger]).balanced()
    assert metrics.total_ledger([ledger, ledger]).captured == 20
    assert not Ledger(11, 12, 8, 1, 1, 2, 1, 1).balanced()


def test_confidence_and_its_calibration() -> None:
    """The mean probability; and the distance from the diagonal, worked out by hand."""
    assert metrics.confidence(WORDS) == pytest.approx(0.7)
    assert math.isnan(metrics.confidence(WORDS[:0]))
    probability, correct = [0.95, 0.95, 0.15, 1.0], [True, False, False, True]
    table = metrics.reliability(probability, correct)
    assert table["n"].tolist() == [1, 3]
    expected = (0.15 * 1 + abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3) * 3) / 4
    assert metrics.expected_calibration_error(probability, correct) == pytest.approx(expected)


def test_lagging_of_hand_computed_cases() -> None:
    """Words on the beat lag by their first delay; LAAL does not reward longer output; AP of waiting is 1."""
    on_beat = metrics.lagging([1.0, 2.0, 3.0, 4.0], 4.0, 4)
    assert (on_beat.al_s, on_beat.laal_s, on_beat.dal_s) == pytest.approx((1.0, 1.0, 1.0))
    assert on_beat.ap == pytest.approx(10 / 16)
    waiting = metrics.lagging([4.0, 4.0], 4.0, 2)
    assert (waiting.ap, waiting.al_s) == pytest.approx((1.0, 3.0))
    longer = metrics.lagging([1.0, 2.0, 3.0, 4.0], 4.0, 2)
    assert longer.al_s == pytest.approx((1 + 0 - 1 - 2) / 4)
    assert longer.laal_s == pytest.approx(1.0)
    assert math.isnan(metrics.lagging([], 4.0, 2).al_s)
    assert metrics.lagging([5.0], 4.0, 2).al_s == 5.0


def test_cpu_per_audio_second() -> None:
    """CPU seconds over audio seconds, and no figure without audio."""
    assert metrics.cpu_per_audio_s(5.0, 10.0) == 0.5
    assert math.isnan(metrics.cpu_per_audio_s(5.0, 0.0))


def test_a_signature_names_every_condition() -> None:
    """What is printed beside a number names all that it depends on."""
    text = str(Signature("c", "n", "m", "p", 250, "clean", "virtual", "recognizer", "0.1", "2 cores"))
    assert text.startswith("corpus: c | normalizer: n | model: m | policy: p | chunk_ms: 250")

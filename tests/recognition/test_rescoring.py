"""A session told again from its log: the real model once, then none."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.emissions import word_key
from rtstt_lab.recognition.policy import POLICIES, CommitPolicy
from rtstt_lab.recognition.promises import Decoded
from rtstt_lab.recognition.rescoring import decoded_of, rescore, row_of
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.recognition.streaming import Result, StreamingRecognizer
from rtstt_lab.recognition.whisper import WhisperDecoder
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Hypothesis, Partial, Samples, Word

CHUNK = SAMPLE_RATE_HZ // 4
SHORT = RecognizerSettings(max_window_s=4.0, keep_s=1.5, policy=CommitPolicy())

Told = list[tuple[float, Result]]


@pytest.fixture(scope="module")
def session(tiny: WhisperDecoder, two_cities: Samples) -> tuple[list[Decoded], Told]:
    """Two utterances with a pause between, windows cut several times; what was decoded, what was said."""
    log: list[Decoded] = []
    told: Told = []
    recognizer = StreamingRecognizer(tiny, settings=SHORT, observer=log.append)
    for end_s in (12, 17):
        for at in range(round(recognizer.heard_s * SAMPLE_RATE_HZ), end_s * SAMPLE_RATE_HZ, CHUNK):
            recognizer.accept_audio(two_cities[at : at + CHUNK])
            told += [(recognizer.heard_s, result) for result in recognizer.step()]
        told += [(recognizer.heard_s, result) for result in recognizer.settle()]
    return log, told


def check(told: Told) -> list[Word]:
    """Words once promised stay, letter and time, and none comes twice; returns the finals' words."""
    finals: list[Word] = []
    promised: tuple[Word, ...] = ()
    for _, result in told:
        assert result.words[: len(promised)] == promised
        if isinstance(result, Partial):
            assert len(promised) <= result.committed <= len(result.words)
            promised = result.words[: result.committed]
        else:
            finals += result.words
            promised = ()
    assert not promised
    assert all(a.start_s <= b.start_s for a, b in pairwise(finals))
    return finals


def test_under_its_own_policy_a_session_is_told_as_it_was(session: tuple[list[Decoded], Told]) -> None:
    """Every partial and final comes again, in order, at the same heard audio, from JSON as well."""
    log, told = session
    assert {decoded.kind for decoded in log} >= {"running", "closing"}
    assert len({decoded.hypothesis.start_s for decoded in log if decoded.hypothesis}) > 3
    assert list(rescore(log, SHORT.policy, SHORT)) == told
    written = [json.loads(json.dumps(row_of(decoded))) for decoded in log]
    assert list(rescore(map(decoded_of, written), SHORT.policy, SHORT)) == told


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_other_policies_say_much_the_same(session: tuple[list[Decoded], Told], name: str) -> None:
    """From one log each policy says all of it, keeps its promises, and repeats nothing."""
    log, told = session
    ours = [word_key(word.text) for word in check(list(rescore(log, POLICIES[name], SHORT)))]
    theirs = [word_key(word.text) for word in check(told)]
    assert len(ours) == pytest.approx(len(theirs), abs=6)
    assert len(set(theirs) - set(ours)) <= 5


def test_what_waits_longer_is_promised_later(session: tuple[list[Decoded], Told]) -> None:
    """Holding six words back promises fewer words early than holding three."""
    log, _ = session

    def early(name: str) -> int:
        told = rescore(log, POLICIES[name], SHORT)
        return sum(result.committed for _, result in told if isinstance(result, Partial))

    assert early("hold-6") < early("hold-3")


@st.composite
def logs(draw: st.DrawFn) -> list[Decoded]:
    """Windows that move on over one text, heard a little otherwise each time, with pauses; then the end."""
    log, start_s, end_s = [], 0.0, 0.0
    steps = draw(st.integers(1, 12))
    for step in range(steps):
        end_s += draw(st.floats(0.3, 1.5))
        start_s = min(max(start_s, end_s - draw(st.floats(3, 9))), end_s)
        kind = (
            "closing"
            if step == steps - 1
            else draw(st.sampled_from(["running", "running", "quiet", "closing"]))
        )
        heard = tuple(
            Word(draw(st.sampled_from([f" w{i}", f" v{i}", f" w{i}."])), 0.4 * i, 0.4 * i + 0.35, p)
            for i in range(int(start_s / 0.4) + 1, int(end_s / 0.4))
            for p in (draw(st.sampled_from([0.3, 0.9])),)
        )
        known = bool(log) and log[-1].kind == "quiet" and kind == "closing" and draw(st.booleans())
        hypothesis = None if known else Hypothesis(heard, start_s, end_s, "en", -0.2, 1.0, 0.1)
        log.append(Decoded(end_s, kind, language_settled=True, hypothesis=hypothesis))
        if kind == "closing":
            start_s = end_s
    return log


@given(logs(), st.sampled_from(sorted(POLICIES)))
@settings(deadline=None, max_examples=150)
def test_promises_are_kept_whatever_was_heard(log: list[Decoded], name: str) -> None:
    """Over hypotheses that keep changing, promised words neither change nor come again."""
    finals = check(list(rescore(log, POLICIES[name])))
    places = [int(word.text.strip(" vw.")) for word in finals]
    assert places == sorted(set(places))


def test_a_session_without_words_says_nothing() -> None:
    """Closing an utterance of which nothing is known, or nothing was said, gives no result."""
    nothing = Hypothesis((), 0.0, 1.0, "en", 0.0, 0.0, 1.0)
    log = [
        Decoded(at_s, "closing", language_settled=True, hypothesis=said)
        for at_s, said in ((1.0, nothing), (2.0, None))
    ]
    assert not [result for _, result in rescore(log, CommitPolicy()) if isinstance(result, Final)]

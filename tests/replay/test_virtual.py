"""Virtual time: the same sessions and recognizer, without waiting; checked against real sockets."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from rtstt_lab.analysis import metrics
from rtstt_lab.analysis.wer import normalizer
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.events import ClientEvent, StatusReceived
from rtstt_lab.replay.faults import (
    Corrupted,
    Cut,
    Delay,
    Dropped,
    Duplicated,
    FaultSchedule,
    HalfOpen,
    Kill,
    Reordered,
    Sigstop,
)
from rtstt_lab.replay.machine import Fitted, Measured
from rtstt_lab.replay.realtime import replay_in_real_time
from rtstt_lab.replay.server import MakeRecognizer
from rtstt_lab.replay.virtual import Replayed, replay_virtually

STEADY = Fitted(step_s=0.1, settle_s=0.15, feed_s=0.002)
WORDS = "ever tried ever failed no matter try again fail again fail better"
TWO_CUTS = FaultSchedule.of(
    Delay(at_s=0, duration_s=math.inf, delay_s=0.04, jitter_s=0.02),
    Cut(at_s=2.0, duration_s=1.5),
    Cut(at_s=6.0, duration_s=1.0),
)
TAMPERED = FaultSchedule.of(
    Dropped(at_s=0.0, duration_s=0.3),  # the chunk that tells the format
    Corrupted(at_s=1.0, duration_s=2.0, chunks=3),
    Duplicated(at_s=3.0, duration_s=2.0, chunks=2),
    Dropped(at_s=5.0, duration_s=2.0, chunks=3),
    Reordered(at_s=7.0, duration_s=2.0, chunks=2),
)

Replay = Callable[..., Replayed]


@pytest.fixture(scope="module")
def replay(recognizer: MakeRecognizer, chunks: list[AudioChunk]) -> Replay:
    """Replays the reading; each set of conditions once."""
    done: dict[str, Replayed] = {}

    def run(again: int = 0, **conditions: Any) -> Replayed:
        key = f"{again} {conditions}"
        if key not in done:
            conditions = {"cost": STEADY, **conditions}
            done[key] = replay_virtually(
                chunks,
                recognizer,
                model="tiny.en",
                language="en",
                started_at=datetime.now(UTC),
                **conditions,
            )
        return done[key]

    return run


def what_happened(replayed: Replayed) -> list[Any]:
    """All events but the samples of this machine's memory."""
    return [event for event in replayed.result.events if event["event"] != "resources"]


@pytest.mark.requirement("C4")
def test_a_clean_replay_is_complete(replay: Replay) -> None:
    """Every chunk is accepted, the session is saved, and the words are those that were read."""
    result = replay().result
    assert result.error is None
    assert result.ledger.balanced()
    assert (result.ledger.accepted, result.ledger.lost, result.ledger.held) == (result.ledger.captured, 0, 0)
    assert normalizer("en")(result.text) == WORDS
    assert result.stopped_s == pytest.approx(9.963, abs=0.001)


def test_with_a_fitted_cost_a_run_is_the_same_every_time(replay: Replay) -> None:
    """Two runs under one seed, delays and cuts included, agree in every event."""
    first, second = (replay(again=again, faults=TWO_CUTS, seed=3) for again in (0, 1))
    assert what_happened(first) == what_happened(second)


@pytest.mark.requirement("C4")
def test_cuts_lose_no_word(replay: Replay) -> None:
    """Cut twice, the transcript is that of the clean link; audio was sent again; all is accounted for."""
    clean, cut = replay(), replay(faults=TWO_CUTS, seed=3)
    assert normalizer("en")(cut.result.text) == normalizer("en")(clean.result.text)
    ledger = cut.result.ledger
    assert ledger.balanced()
    assert (ledger.lost, ledger.held) == (0, 0)
    states = cut.result.tables["states"]["shown"].dropna().tolist()
    assert states.count("reconnecting") == 2
    late = metrics.word_latencies(cut.result.tables["words"], cut.result.tables["chunks"])["latency_s"].max()
    usual = metrics.word_latencies(clean.result.tables["words"])["latency_s"].max()
    assert late > usual + 1.0


@pytest.mark.requirement("L4", "L5")
def test_what_became_final_while_the_client_was_cut_off_still_arrives(replay: Replay) -> None:
    """Cut right behind stop, the client comes back to a session that is over: it stays for what it missed."""
    behind_stop = FaultSchedule.of(after_stop=[Cut(at_s=0.01, duration_s=1.5)])
    clean, cut = replay(), replay(faults=behind_stop)
    assert cut.result.error is None
    states = cut.result.tables["states"]
    lost_s = states.loc[states["link"] == "reconnecting", "at_s"].tolist()
    assert lost_s[:1] == [pytest.approx(cut.result.stopped_s + 0.01)]
    assert cut.result.summary is not None
    assert normalizer("en")(cut.result.text) == normalizer("en")(clean.result.text)


@pytest.mark.requirement("E4")
def test_damaged_repeated_missing_and_late_chunks_lose_no_word(replay: Replay) -> None:
    """What was rejected or never came is asked for and sent again; each chunk is heard once."""
    clean, tampered = replay(), replay(faults=TAMPERED, seed=3)
    assert normalizer("en")(tampered.result.text) == normalizer("en")(clean.result.text)
    ledger = tampered.result.ledger
    assert (ledger.accepted, ledger.lost, ledger.held) == (ledger.captured, 0, 0)
    assert ledger.rejected >= 3
    assert ledger.duplicate >= 2
    assert ledger.transmitted >= ledger.captured + 7
    assert "reconnecting" not in set(tampered.result.tables["states"]["shown"].dropna())


@pytest.mark.requirement("R1", "C4")
def test_a_server_that_is_killed_loses_no_word(replay: Replay) -> None:
    """Twice while words are said, and when stop was pressed: the next one goes on from the journal."""
    faults = FaultSchedule.of(*(Kill(at_s=at_s, duration_s=0.8) for at_s in (2.3, 6.1, 10.0)))
    clean, killed = replay(), replay(faults=faults)
    assert killed.kills == 3
    assert killed.result.error is None
    assert normalizer("en")(killed.result.text) == normalizer("en")(clean.result.text)
    ledger = killed.result.ledger
    assert ledger.balanced()
    assert (ledger.lost, ledger.held) == (0, 0)


@pytest.mark.requirement("R1", "L5")
def test_a_server_that_is_killed_before_its_last_word_arrives(replay: Replay) -> None:
    """The session was saved, and its client does not know: the next server tells."""
    far = Delay(at_s=0, duration_s=math.inf, delay_s=0.3)
    ended_s = replay(faults=FaultSchedule.of(far)).result.events[-1]["at_s"]
    for before_s in (0.15, 0.4):
        kill = Kill(at_s=ended_s - before_s, duration_s=0.5)
        killed = replay(faults=FaultSchedule.of(far, kill))
        assert killed.kills == 1
        assert killed.result.error is None
        assert normalizer("en")(killed.result.text) == WORDS


def test_a_process_cannot_be_stopped_in_virtual_time(replay: Replay) -> None:
    """There is none: said before anything is replayed, and where it can be done."""
    with pytest.raises(UsageError, match=r"sigstop.*rtstt bench faults"):
        replay(faults=FaultSchedule.of(Sigstop(at_s=1.0, duration_s=1.0)))


@pytest.mark.requirement("L4")
def test_a_link_that_falls_silent_is_noticed_within_twelve_seconds(
    recognizer: MakeRecognizer, chunks: list[AudioChunk]
) -> None:
    """Nobody tells of a half-open link; the client finds out by silence, and still loses nothing."""
    replayed = replay_virtually(
        chunks * 2,
        recognizer,
        model="tiny.en",
        started_at=datetime.now(UTC),
        cost=STEADY,
        faults=FaultSchedule.of(HalfOpen(at_s=2.0, duration_s=15.0)),
    )
    states = replayed.result.tables["states"]
    lost_s = states.loc[states["shown"] == "reconnecting", "at_s"].iloc[0]
    assert 2.0 < lost_s <= 14.0
    assert replayed.result.error is None
    assert replayed.result.ledger.lost == 0


def test_a_link_that_never_comes_back_is_told(replay: Replay) -> None:
    """When all retries fail the attempt ends, and every chunk is accounted for as accepted or held."""
    result = replay(faults=FaultSchedule.of(Cut(at_s=3.0, duration_s=math.inf))).result
    assert result.error is not None
    assert result.ledger.balanced()
    assert result.ledger.held > 0
    assert result.tables["states"]["shown"].dropna().iloc[-1] == "error"


def test_a_slower_machine_is_later_and_says_the_same(replay: Replay) -> None:
    """Costs move emissions, not words at the end: a step of half a second against one of a tenth."""
    fast, slow = replay(), replay(cost=Fitted(step_s=0.5, settle_s=0.6))
    means = [metrics.word_latencies(each.result.tables["words"])["latency_s"].mean() for each in (fast, slow)]
    assert means[1] > means[0] + 0.2
    assert normalizer("en")(slow.result.text) == normalizer("en")(fast.result.text)


@pytest.mark.requirement("O2", "A1", "O4")
@pytest.mark.parametrize(("step_s", "told"), [(0.1, {""}), (1.0, {"", "interval"})])
def test_a_machine_that_is_too_slow_in_virtual_time_decodes_less(
    replay: Replay, step_s: float, told: set[str]
) -> None:
    """The recognizer paces itself by what its work costs there, as at a server, and says so."""
    degraded: set[str] = set()

    def observe(_now: float, event: ClientEvent) -> None:
        if isinstance(event, StatusReceived):
            degraded.add(event.message.degraded)

    replayed = replay(cost=Fitted(step_s=step_s, settle_s=step_s), observers=[observe])
    assert degraded == told
    assert normalizer("en")(replayed.result.text) == WORDS


def test_measured_cost_is_what_was_spent(replay: Replay) -> None:
    """Latency grows with the slowdown of the same measured work."""
    replayed = replay(cost=Measured())
    assert replayed.process_cpu_s > 0
    assert Measured(4.0)(None, 0.5) == 2.0
    assert replayed.result.tables["resources"]["process_cpu_s"].max() <= replayed.process_cpu_s


@pytest.mark.requirement("E4")
async def test_messages_are_tampered_with_alike_over_real_sockets(
    replay: Replay, chunks: list[AudioChunk], server: LocalServer
) -> None:
    """The same schedule, executed by the same hook: the same words, and every chunk accepted."""
    real = await replay_in_real_time(
        chunks, server.url, token=server.token, language="en", faults=TAMPERED, seed=3
    )
    assert real.result.error is None
    assert normalizer("en")(real.result.text) == normalizer("en")(replay().result.text)
    ledger = real.result.ledger
    assert (ledger.accepted, ledger.lost, ledger.held) == (ledger.captured, 0, 0)
    assert {happened.fault for happened in real.happened} == set(TAMPERED.faults)
    assert all(happened.fault.at_s <= happened.began_s <= happened.ended_s for happened in real.happened)


@pytest.mark.requirement("C4")
async def test_real_sockets_agree_with_virtual_time(
    replay: Replay, chunks: list[AudioChunk], server: LocalServer
) -> None:
    """Through server, WebSocket and proxy with the same cuts: the same words, a balanced ledger."""
    real = await replay_in_real_time(
        chunks,
        server.url,
        token=server.token,
        language="en",
        faults=TWO_CUTS,
        seed=3,
        process_cpu_s=server.process_cpu_s,
    )
    virtual = replay(faults=TWO_CUTS, seed=3)
    assert real.result.error is None
    assert normalizer("en")(real.result.text) == normalizer("en")(virtual.result.text)
    assert real.result.ledger.balanced()
    assert (real.result.ledger.lost, real.result.ledger.held) == (0, 0)
    assert real.result.tables["states"]["shown"].dropna().tolist().count("reconnecting") == 2
    assert real.process_cpu_s > 0
    for name, table in real.result.tables.items():
        assert list(table.columns) == list(virtual.result.tables[name].columns)


@pytest.mark.requirement("R3", "L4")
@pytest.mark.parametrize("outage_s", [45.0, 300.0])
def test_a_long_outage_ends_in_blocks_and_loses_nothing(replay: Replay, outage_s: float) -> None:
    """Capture goes on, every chunk is accepted once, and the transcript is that of an undisturbed run."""
    replayed = replay(faults=FaultSchedule.cuts((2.0, outage_s)))
    assert replayed.suspensions == (1 if outage_s > EngineSettings().linkless_s else 0)
    result = replayed.result
    assert result.error is None
    assert result.ledger.balanced()
    assert (result.ledger.accepted, result.ledger.lost) == (result.ledger.captured, 0)
    states = [event for event in result.events if event["event"] == "state"]
    assert ("error", "block") in {(state["shown"], state["mode"]) for state in states}
    starts = [final.words[0].start_s for final in result.finals]
    assert starts == sorted(starts)
    whole = replay().result
    assert normalizer("en")(result.text) == normalizer("en")(whole.text)
    assert [word.start_s for word in result.words] == pytest.approx([w.start_s for w in whole.words], abs=0.3)

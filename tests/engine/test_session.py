"""The engine's path from start to saved, and every way off it."""

from __future__ import annotations

import binascii
from math import inf

import pytest
from tests.engine.scripted import ScriptedWorker, words
from tests.engine.world import STARTED, World

from rtstt_lab.engine import EngineSettings, Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.journal import MarkRecord, SessionRecord, recover
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase, Shown
from rtstt_lab.types import PCM


@pytest.mark.requirement("L3", "L5", "D2")
def test_from_start_to_saved() -> None:
    """Chunks become partials and finals; stop recognises the rest and saves it."""
    world = World()
    world.start()
    for _ in range(20):
        world.speak()
    assert len(world.of(ev.PartialReceived)) >= 5
    world.control("stop")
    assert world.client.shown is Shown.COMPLETED
    (transcript,) = world.saved
    assert transcript.text == words(0, 10)
    assert transcript.complete
    assert transcript.duration_s == 5.0
    assert transcript.language == "en"
    kinds = [type(effect).__name__ for effect in world.effects if type(effect).__name__ != "WriteJournal"]
    assert kinds[-4:] == ["SaveTranscript", "FreeWorker", "CloseLink", "Release"]
    assert world.worker.fed == list(range(20))
    assert world.client.ledger.balanced()
    assert world.client.held_ms == 0
    assert world.engine.next_deadline() is None


@pytest.mark.requirement("L5", "M1")
def test_the_client_tells_the_latency_for_the_header() -> None:
    """The mean latency in the transcript is the one that the client measured and told."""
    world = World(decode_s=0.3)
    world.start()
    for _ in range(40):
        world.speak()
    world.control("stop")
    world.pass_time(5)
    assert world.saved[0].mean_latency_s == pytest.approx(world.client.latency.mean_ms / 1000, abs=0.3)


@pytest.mark.requirement("L5")
def test_stop_before_anything_was_said() -> None:
    """A session without audio completes, and its empty transcript is saved."""
    world = World()
    world.connect()
    world.control("stop")
    assert world.client.shown is Shown.COMPLETED
    assert world.saved[0].finals == ()
    assert world.saved[0].complete


@pytest.mark.requirement("L6")
def test_pause_settles_what_was_said() -> None:
    """Pause makes everything before it final, commits it, and recording goes on where the clock stood."""
    world = World()
    world.start()
    for _ in range(6):
        world.speak()
    world.control("pause")
    assert world.text() == words(0, 3)
    assert world.session.committed_seq == 6
    world.pass_time(30)
    world.control("resume")
    for _ in range(4):
        world.speak()
    world.control("stop")
    assert world.saved[0].text == words(0, 3) + "\n" + words(3, 5)
    assert world.saved[0].duration_s == 2.5


@pytest.mark.requirement("L6")
def test_flush_settles_and_goes_on() -> None:
    """Flush gives finals at once and changes no phase."""
    world = World()
    world.start()
    for _ in range(4):
        world.speak()
    world.control("flush")
    assert world.text() == words(0, 2)
    assert world.client.phase is Phase.RECORDING


@pytest.mark.requirement("O2", "D2", "O4")
def test_a_slow_machine_drops_partials_and_never_audio() -> None:
    """When decodes take longer than their audio, partials come less often, and no word is lost."""
    world = World(decode_s=1.2)
    world.start()
    for _ in range(80):
        world.speak()
    steps = [effect for effect in world.of(fx.Recognise) if effect.kind == "step"]
    assert len(steps) < 18
    world.control("stop")
    world.pass_time(10)
    assert world.saved[0].words[-1].text == " w39"
    assert len(world.saved[0].words) == 40


@pytest.mark.requirement("O2", "A1", "O4")
def test_a_person_is_told_while_partials_come_less_often() -> None:
    """What the recognizer says of its pace is in the status, from when it begins to when it ends."""
    world = World()
    world.start()
    for slowed in (False, True, False):
        world.worker.slowed = slowed
        for _ in range(8):
            world.speak()
    degraded = [event.message.degraded for event in world.of(ev.StatusReceived)]
    assert [text for text, before in zip(degraded, [None, *degraded], strict=False) if text != before] == [
        "",
        "interval",
        "",
    ]


@pytest.mark.requirement("D2", "O2", "O3")
def test_a_machine_that_cannot_keep_up_loses_nothing() -> None:
    """Rule 7: the client keeps what decodes cannot bear, a person is told, and all is recognised later."""
    world = World(
        settings=EngineSettings(feed_ahead_s=4.0), limits=wire.Limits(credit_ms=10_000), decode_s=2.0
    )
    world.worker.most_s = 1.0
    world.start()
    waiting_s = []
    for _ in range(400):
        world.speak()
        waiting_s.append(world.engine.status().waiting_s)
    assert max(waiting_s) <= 15.25
    assert world.worker.most_pending_s <= 4.25
    assert world.session.credit_ms == 0
    assert ("backpressure", True) in world.alerts()
    assert world.client.held_ms > 30_000
    world.control("stop")
    world.worker.most_s = inf
    world.pass_time(300)
    assert [word.text for word in world.saved[0].words] == [f" w{i}" for i in range(200)]
    assert world.worker.fed == list(range(400))
    assert world.client.ledger.lost == 0


@pytest.mark.requirement("D2", "O3")
def test_a_full_queue_leaves_audio_with_the_client() -> None:
    """When nobody recognises the credit runs out, a person is told, and nothing is dropped."""
    world = World(limits=wire.Limits(credit_ms=10_000), answer_at_once=False)
    world.start()
    for _ in range(200):
        world.speak(real_time=False)
        world.pass_time(0.05)
    assert world.engine.status().waiting_s <= 15.25
    assert world.session.credit_ms == 0
    assert ("backpressure", True) in world.alerts()
    assert world.client.held_ms > 30_000
    world.answer_at_once = True
    world.pass_time(20)
    assert ("backpressure", False) in world.alerts()
    world.control("stop")
    world.pass_time(20)
    assert len(world.saved[0].words) == 100
    assert world.worker.fed == list(range(200))
    assert world.client.ledger.lost == 0


@pytest.mark.requirement("O3", "S4")
def test_a_client_that_sends_beyond_its_credit_fills_no_queue() -> None:
    """What comes far beyond the credit is turned back, and taken when there is room again."""
    world = World(limits=wire.Limits(credit_ms=10_000), answer_at_once=False)
    world.start()
    payload = bytes(32 * 250)

    def send(seq: int) -> None:
        header = wire.AudioHeader(seq, 0, len(payload), binascii.crc32(payload), 250, 250 * seq, 0, PCM.mime)
        world.engine.receive_bytes(wire.encode_audio(header, payload), world.now, 1)

    for seq in range(100):
        world.now += 0.1
        send(seq)
    taken = world.session.next_seq
    assert world.engine.status().waiting_s == taken * 0.25 <= 15.25
    world.answer_at_once = True
    world.pass_time(1)
    send(taken)
    assert world.session.next_seq == taken + 1


@pytest.mark.requirement("M2", "M3")
def test_metrics_come_once_a_second() -> None:
    """Metrics tell audio, queue, machine, chunk rate and confidence, every second."""
    world = World()
    world.start()
    world.engine.resources(fx.ResourceSample(150.0, 3.0, 400.0, 4_000.0, "a GPU", 30.0), world.now)
    for _ in range(40):
        world.speak()
    world.control("flush")
    world.pass_time(1.0)
    metrics = [event.message for event in world.of(ev.MetricsReceived)]
    assert 10 <= len(metrics) <= 12
    assert metrics[4].chunks_per_s == pytest.approx(4, abs=0.5)
    assert (metrics[4].cpu_percent, metrics[4].gpu, metrics[4].ram_available_mb) == (150.0, "a GPU", 4_000.0)
    assert metrics[-1].confidence == pytest.approx(0.8)
    assert metrics[-1].audio_s == 10.0
    told = world.engine.status().metrics
    assert told is not None
    assert told.received == metrics[-1].received == world.engine.status().received


@pytest.mark.requirement("M3")
def test_metrics_count_what_failed() -> None:
    """Each failure of a chunk or window counts, also one that was mended by trying again."""
    world = World()
    world.worker.flaky = {3}
    world.start()
    for _ in range(12):
        world.speak()
    assert world.of(ev.MetricsReceived)[-1].message.errors == 1


@pytest.mark.requirement("L4")
def test_a_cut_loses_nothing() -> None:
    """Audio recorded without a link comes afterwards, and finals that were missed are sent again."""
    world = World()
    world.start()
    for _ in range(6):
        world.speak()
    world.cut()
    for _ in range(12):
        world.speak()
    world.pass_time(5)
    for _ in range(6):
        world.speak()
    world.control("stop")
    world.pass_time(5)
    assert world.saved[0].text == words(0, 12)
    assert world.saved[0].complete
    assert [event.message.text for event in world.of(ev.FinalReceived)] == [words(0, 12)]


def test_nobody_comes_back() -> None:
    """Without a link for two minutes a session is suspended; where nothing was said it is released."""
    world = World()
    world.start()
    for _ in range(6):
        world.speak()
    world.linked = False
    world.engine.link_lost(1, world.now)
    world.client.close(world.now)
    world.pass_time(200)
    assert world.stage is Stage.SUSPENDED
    assert [type(effect) for effect in world.effects[-2:]] == [fx.FreeWorker, fx.Suspend]
    state = recover([SessionRecord("session", "scripted", STARTED), *world.journal])
    assert " ".join(final.text for final in state.unfinished) == words(0, 3)
    assert world.saved == []
    unused = World()
    unused.pass_time(121)
    assert unused.stage is Stage.RELEASED
    assert unused.saved == []


def test_a_deleted_session_leaves_no_file() -> None:
    """A deleted session tells its client, saves nothing and is released at once."""
    world = World()
    world.start()
    world.speak(1_000)
    world.engine.abort(world.now)
    world.pump()
    assert world.saved == []
    assert world.errors() == ["session_deleted"]
    assert world.stage is Stage.RELEASED
    assert isinstance(world.effects[-1], fx.Release)
    world.engine.abort(world.now)
    assert world.engine.effects() == []


@pytest.mark.requirement("L5")
def test_an_acknowledgement_after_the_end_changes_nothing() -> None:
    """A finished session that is deleted while its client's last word is under way is released once."""
    world = World()
    world.start()
    world.speak(500)
    world.control("stop")
    world.pass_time(1)
    world.engine.abort(world.now)
    ack = wire.encode(wire.ClientAck(world.session.last_event))
    world.engine.receive_text(ack, world.now, 1)
    world.pump()
    assert [isinstance(effect, fx.Release) for effect in world.effects].index(True) == len(world.effects) - 1


@pytest.mark.requirement("L5")
def test_without_an_acknowledgement_the_grace_time_releases() -> None:
    """A client cut off at the last moment finds the session for a while, and then it is gone."""
    world = World(answer_at_once=False)
    world.start()
    world.control("stop")
    world.cut()
    world.client.close(world.now)
    world.answer_at_once = True
    world.pump()
    assert world.stage is Stage.ENDED
    world.pass_time(31)
    assert world.stage is Stage.RELEASED


@pytest.mark.requirement("L5")
def test_audio_that_comes_late_out_of_the_decoder_is_committed_late() -> None:
    """A chunk whose audio is still inside the decoder is not committed, however much is settled."""
    world = World(ScriptedWorker(late=3))
    world.start()
    for _ in range(8):
        world.speak()
    world.control("flush")
    assert world.session.committed_seq == 5
    world.control("stop")
    assert world.session.committed_seq == 8
    marks = [record for record in world.journal if isinstance(record, MarkRecord)]
    assert [m.committed_seq for m in marks] == sorted(m.committed_seq for m in marks)
    state = recover([SessionRecord("session", "scripted", STARTED), *world.journal])
    assert " ".join(final.text for final in state.finals) == words(0, 4)

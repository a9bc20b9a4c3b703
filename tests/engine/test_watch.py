"""What a session notices by itself: no audio, work that does not return, chunk after chunk that fails."""

from __future__ import annotations

import msgspec
import pytest
from tests.engine.scripted import ScriptedWorker, words
from tests.engine.world import World

from rtstt_lab.engine import EngineSettings, Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase


@pytest.mark.requirement("M3", "R1")
def test_audio_that_stops_coming_is_told_and_so_is_its_return() -> None:
    """Two seconds without a chunk while recording: a status; over with the next chunk; told once each."""
    world = World()
    world.start()
    world.speak()
    world.pass_time(1.7)
    assert world.alerts() == []
    world.pass_time(0.4)
    assert world.alerts() == [("no_audio", True)]
    world.pass_time(7)
    world.speak()
    assert world.alerts() == [("no_audio", True), ("no_audio", False)]


@pytest.mark.requirement("M3")
def test_a_pause_and_a_lost_link_are_no_missing_audio() -> None:
    """Where no audio is due, or nobody is there to send it, nothing is told; a pause ends the alert."""
    world = World()
    world.start()
    world.speak()
    world.control("pause")
    world.pass_time(20)
    assert world.alerts() == []
    world.control("resume")
    world.pass_time(3)
    assert world.alerts() == [("no_audio", True)]
    world.control("pause")
    assert world.alerts()[-1] == ("no_audio", False)


class Hanging(World):
    """Recognitions are not answered while they hang; after a while that is told, as the executor does."""

    def hang(self) -> fx.Effect:
        self.answer_at_once = False
        self.speak(1_000)
        while not isinstance(self.owed[0][1], fx.Recognise):
            self.answer()
            self.pump()
        work = self.owed[0][1]
        self.engine.work_hangs(work, self.now)
        self.pump()
        return work


@pytest.mark.requirement("E2", "R1")
def test_a_recognizer_that_hangs_and_returns_is_said_and_forgotten() -> None:
    """It is told as degraded; audio is taken meanwhile; when the call returns all goes on as before."""
    world = Hanging()
    world.start()
    work = world.hang()
    assert ("hanging", True) in world.alerts()
    assert world.session.degraded == "hanging"
    world.speak(1_000)
    world.engine.work_returned(work)
    world.answer_at_once = True
    world.pass_time(0)
    world.control("stop")
    assert ("hanging", False) in world.alerts()
    assert world.saved[0].text == words(0, 4)
    assert world.saved[0].complete


@pytest.mark.requirement("E2", "E3", "R1")
def test_a_recognizer_that_never_returns_ends_the_session_saved() -> None:
    """Two minutes later what is final, and every word that was promised, is saved, and the worker let go."""
    world = Hanging()
    world.start()
    for _ in range(12):
        world.speak()
    world.hang()
    world.pass_time(119)
    assert world.client.phase is Phase.RECORDING
    world.pass_time(2)
    assert "recognizer_hangs" in world.errors()
    freed, saved = (
        next(i for i, e in enumerate(world.effects) if isinstance(e, kind))
        for kind in (fx.FreeWorker, fx.SaveTranscript)
    )
    assert freed < saved
    save = world.of(fx.SaveTranscript)[0].transcript
    assert save.text == words(0, 5)
    assert not save.complete
    world.engine.saved("file.txt", world.now)
    world.pump()
    world.pass_time(40)
    assert world.stage is Stage.RELEASED


@pytest.mark.requirement("E2", "O3")
def test_chunks_that_fail_in_a_row_are_told_once() -> None:
    """Of many chunks that fail for one reason the first is told; after a good one the next is news again."""
    worker = ScriptedWorker()
    worker.bad = {*range(3, 40), 60}
    world = World(worker)
    world.start()
    for _ in range(70):
        world.speak()
    world.control("stop")
    assert world.errors() == ["audio_payload"] * 2
    assert world.saved[0].duration_s == 70 * 0.25


@pytest.mark.requirement("E2", "M3")
def test_audio_that_no_decoder_could_read_is_told_with_its_length() -> None:
    """Chunks were taken and gave nothing: said, and the transcript is not complete."""
    world = World()
    world.start()
    world.speak()
    world.worker.lost_s = 1.26
    world.speak()
    world.control("stop")
    assert world.errors() == ["audio_gap"]
    assert not world.saved[0].complete


@pytest.mark.requirement("O3", "E3", "S4")
def test_the_log_of_events_has_an_end() -> None:
    """A session that causes more events than any recording does is finished and saved, and told why."""
    world = World(settings=EngineSettings(max_events=40))
    world.start()
    world.speak()
    while world.client.phase in (Phase.RECORDING, Phase.PAUSED):
        world.control("pause" if world.client.phase is Phase.RECORDING else "resume")
        world.pass_time(1)
    assert "session_events" in world.errors()
    assert len(world.saved) == 1
    assert world.session.last_event < 50


def give_up(world: World, chunks: int) -> None:
    """The client says of its next chunks that they are lost, and had no length."""
    for seq in range(world.session.next_seq, world.session.next_seq + chunks):
        header = wire.AudioHeader(
            seq=seq, stream=0, captured_ms=0, sent_ms=0, duration_ms=0, bytes=0, crc32=0, lost=True
        )
        world.engine.receive_bytes(wire.encode_audio(header, b""), world.now, 1)
        world.pass_time(1 / world.session.limits.max_chunks_per_s)


@pytest.mark.requirement("O3", "S4", "R1")
def test_chunks_given_up_without_length_hold_little() -> None:
    """Of hundreds behind a pause the newest are remembered; a page and a server that come back go on."""
    world = World()
    world.start()
    for _ in range(8):
        world.speak()
    world.control("pause")
    world.pass_time(2)
    world.control("resume")
    give_up(world, 600)
    assert world.session.committed_seq == 608
    assert 450 < world.session.resume_seq < 550
    assert max(len(msgspec.json.encode(record)) for record in world.journal) < 2_000
    world.cut()
    world.restart_client(world.session.issue_token())
    world.captured_ms = 0
    for chunk in range(16):
        world.speak()
        if chunk == 4:
            world.kill()
    world.control("stop")
    world.pass_time(15)
    assert [word.text for word in world.saved[0].words] == [f" w{i}" for i in range(12)]


@pytest.mark.requirement("O3", "S4", "E3")
def test_no_session_has_chunks_without_end() -> None:
    """As many as its rate allows in its greatest length finish it, those given up without length as well."""
    world = World(limits=wire.Limits(max_session_s=60, max_chunks_per_s=4))
    world.start()
    world.speak()
    give_up(world, 238)
    world.pass_time(1)
    assert world.stage is Stage.OPEN
    give_up(world, 1)
    world.pass_time(1)
    assert world.errors() == ["session_chunks"]
    assert len(world.saved) == 1


@pytest.mark.requirement("E3", "R1")
def test_an_hour_ends_with_a_warning_a_minute_before_and_a_file() -> None:
    """Sixty minutes on the virtual clock, with the real limits: announced at 59, finished and saved at 60."""
    world = World()
    world.start()
    warned_at = None
    while world.client.phase is Phase.RECORDING:
        if world.captured_ms % 10_000 == 0:
            world.control("flush")
        world.speak(1_000)
        late = world.captured_ms > 3_500_000
        if late and warned_at is None and ("length", True) in world.alerts():
            warned_at = world.engine.status().audio_s
    assert warned_at == 3_540
    assert world.errors() == ["session_length"]
    assert world.saved[0].duration_s == 3_600
    assert world.saved[0].complete
    assert len(world.saved[0].words) == 7_200
    assert wire.Limits().max_session_s == 3_600

"""What the engine does when something fails: chunks, the recognizer, the disk, the machine's memory."""

from __future__ import annotations

import pytest
from tests.engine.scripted import ScriptedWorker, words
from tests.engine.world import World

from rtstt_lab.engine import EngineSettings, Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.errors import StorageError
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase, Shown


@pytest.mark.requirement("E2", "R1")
def test_a_chunk_that_fails_once_is_tried_again() -> None:
    """One failure of a chunk costs nothing."""
    worker = ScriptedWorker()
    worker.flaky = {3}
    world = World(worker)
    world.start()
    for _ in range(8):
        world.speak()
    world.control("stop")
    assert worker.fed == list(range(8))
    assert world.saved[0].complete
    assert world.errors() == []


@pytest.mark.requirement("E2")
def test_a_chunk_that_fails_twice_is_a_hole_of_its_length() -> None:
    """A chunk that can't be decoded is reported and skipped; what follows keeps its time."""
    worker = ScriptedWorker()
    worker.bad = {3}
    world = World(worker)
    world.start()
    for _ in range(8):
        world.speak()
    world.control("stop")
    assert world.errors() == ["audio_payload"]
    assert worker.fed == list(range(8))
    assert world.saved[0].duration_s == 2.0
    assert not world.saved[0].complete
    assert world.client.shown is Shown.COMPLETED


@pytest.mark.requirement("E2", "E3")
def test_a_worker_that_takes_nothing_more_still_saves() -> None:
    """When not even a hole can be fed, what is final is saved and the session ends."""
    world = World()
    world.start()
    for _ in range(4):
        world.speak()
    world.control("flush")
    world.worker.bad, world.worker.deaf = {4}, True
    world.speak()
    assert world.saved[0].text == words(0, 2)
    assert world.stage is Stage.RELEASED


@pytest.mark.requirement("E2")
def test_a_recognition_that_fails_once_is_tried_again() -> None:
    """One failure of the recognizer is not even told."""
    world = World()
    world.start()
    world.worker.failures = 1
    for _ in range(8):
        world.speak()
    world.control("stop")
    assert world.saved[0].text == words(0, 4)
    assert world.errors() == []


@pytest.mark.requirement("E2")
@pytest.mark.parametrize("where", ["step", "settle", "finish"])
def test_a_window_that_fails_twice_is_skipped(where: str) -> None:
    """After the second failure the window is given up and reported, and the session goes on and is saved."""
    world = World()
    world.start()
    for _ in range(3):
        world.speak()
    world.worker.failures = 2
    if where == "settle":
        world.control("pause")
        world.control("resume")
    for _ in range(5 if where != "finish" else 0):
        world.speak()
    world.control("stop")
    assert world.errors() == ["recognition_failed"]
    assert len(world.worker.skipped_s) == 1
    assert world.client.shown is Shown.COMPLETED
    assert not world.saved[0].complete
    if where != "finish":
        assert world.saved[0].words[-1].text == " w3"


@pytest.mark.requirement("E2", "E3")
def test_a_recognizer_beyond_help_still_saves() -> None:
    """When not even skipping works, what is final is saved and the session ends."""
    world = World()
    world.start()
    for _ in range(4):
        world.speak()
    world.control("flush")
    world.worker.failures = 1_000
    world.speak(1_000)
    assert world.saved[0].text == words(0, 2)
    assert world.stage is Stage.RELEASED


@pytest.mark.requirement("E3")
def test_a_save_that_fails_keeps_the_text() -> None:
    """When the file can't be written the session has failed; its text can be fetched for a while."""
    error = StorageError("transcript_disk_full", path="/full", reason="full")
    world = World(save_error=error, settings=EngineSettings(failed_s=60))
    world.start()
    for _ in range(4):
        world.speak()
    world.control("stop")
    assert world.client.phase is Phase.FAILED
    assert world.errors() == ["transcript_disk_full"]
    assert world.text() == words(0, 2)
    assert world.stage is Stage.ENDED
    world.pass_time(61)
    assert world.stage is Stage.RELEASED
    assert len(world.of(fx.SaveTranscript)) == 1


@pytest.mark.requirement("E3", "R1")
def test_the_greatest_length_ends_and_saves() -> None:
    """At its greatest length, announced a minute before, the session is finished and saved."""
    world = World(limits=wire.Limits(max_session_s=120))
    world.start()
    while world.client.phase is Phase.RECORDING:
        world.speak(1_000)
    assert ("length", True) in world.alerts()
    assert world.errors() == ["session_length"]
    assert world.saved[0].duration_s == 120
    assert world.saved[0].complete
    assert world.client.shown is Shown.COMPLETED


@pytest.mark.requirement("A2", "E3")
def test_little_memory_warns_and_very_little_ends() -> None:
    """Below 1 GB a warning comes and goes; below 256 MB the session ends, saved."""
    world = World()
    world.start()
    for _ in range(4):
        world.speak()
    world.control("flush")
    for left_mb in (5_000, 900, 950, 1_100, 2_000):
        world.engine.resources(fx.ResourceSample(10, 1, 300, left_mb), world.now)
    world.pump()
    assert world.alerts() == [("memory", True), ("memory", False)]
    assert world.client.phase is Phase.RECORDING
    world.engine.resources(fx.ResourceSample(10, 1, 300, 200), world.now)
    world.pump()
    assert world.errors() == ["memory_exhausted"]
    assert world.saved[0].text == words(0, 2)
    assert not world.saved[0].complete
    assert world.stage is Stage.RELEASED


@pytest.mark.requirement("E3")
def test_a_failed_allocation_saves() -> None:
    """An allocation that fails ends the session with what is final saved."""
    world = World()
    world.start()
    world.speak(1_000)
    world.engine.out_of_memory(world.now)
    world.pump()
    assert len(world.saved) == 1

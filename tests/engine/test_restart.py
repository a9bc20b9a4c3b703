"""What a server finds in a journal, and how it goes on from there."""

from __future__ import annotations

import pytest
from tests.engine.scripted import ScriptedWorker, words
from tests.engine.world import STARTED, World

from rtstt_lab.engine import Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.journal import (
    CommittedRecord,
    EventRecord,
    MarkRecord,
    PhaseRecord,
    SessionRecord,
    TokenRecord,
    recover,
)
from rtstt_lab.errors import StorageError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase, Shown
from rtstt_lab.protocol.server_order import ENDING
from rtstt_lab.types import Final, Partial, Word

pytestmark = pytest.mark.requirement("E4", "L4")


def spoken(chunks: int) -> World:
    """A session in which so many quarters of a second were said."""
    world = World()
    world.start()
    for _ in range(chunks):
        world.speak()
    return world


def finished(world: World) -> str:
    """The text that is saved once the session is stopped."""
    world.pass_time(5)
    world.control("stop")
    world.pass_time(5)
    assert world.client.shown is Shown.COMPLETED
    assert world.client.ledger.lost == world.client.ledger.held == 0
    assert world.client.ledger.balanced()
    return world.saved[-1].text.replace("\n", " ")


def test_promised_words_become_final_first() -> None:
    """The open segment's committed words are its final; the rest of it is heard again, as a new one."""
    world = spoken(10)
    promised = [e.message for e in world.of(ev.PartialReceived)][-1]
    assert promised.committed == 4
    world.kill()
    world.pass_time(2)
    (final,) = [e.message for e in world.of(ev.FinalReceived)]
    assert [word.text for word in final.words] == [f" w{i}" for i in range(4)]
    assert finished(world) == words(0, 5)
    assert world.saved[-1].complete


@pytest.mark.parametrize("action", ["pause", "stop"])
def test_a_button_that_was_applied_holds_once_its_audio_is_back(action: str) -> None:
    """A server killed while it settles: the next one asks for the audio again, then pauses or finishes."""
    world = spoken(10)
    world.decode_s = 5.0
    world.control(action)
    world.kill()
    world.decode_s = 0.0
    world.pass_time(10)
    assert world.worker.fed[-1] == 9
    assert world.client.phase is (Phase.PAUSED if action == "pause" else Phase.COMPLETED)
    if action == "pause":
        assert world.text().replace("\n", " ") == words(0, 5)
        world.control("resume")
    else:
        assert world.saved[0].text.replace("\n", " ") == words(0, 5)


def test_a_session_that_was_suspended_goes_on() -> None:
    """After two minutes without a link only the journal is left; whoever comes back goes on from it."""
    world = spoken(10)
    world.reachable = False
    world.cut()
    world.pass_time(125)
    assert world.stage is Stage.SUSPENDED
    assert not world.serving
    assert " ".join(final.text for final in world.state().unfinished) == words(0, 5)
    world.reachable = True
    world.client.reconnect(world.now)
    world.pump()
    for _ in range(6):
        world.speak()
    assert finished(world) == words(0, 8)


def test_who_comes_back_in_time_hears_what_was_settled() -> None:
    """A link that returns while the session is being suspended keeps it, and every word is told once."""
    world = spoken(10)
    world.decode_s = 8.0
    world.reachable = False
    world.cut()
    world.pass_time(123)
    assert world.stage is Stage.OPEN
    world.reachable = True
    world.client.reconnect(world.now)
    world.pump()
    world.pass_time(20)
    world.decode_s = 0.0
    assert finished(world) == words(0, 5)


@pytest.mark.requirement("L4", "R1")
@pytest.mark.parametrize("before", [2, 8, 14])
@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_a_server_that_dies_soon_after_a_page_was_loaded_again(before: int, after: int) -> None:
    """It asks for audio that the old page had; what was said in that is known, and no word moves or goes."""
    world = World()
    world.start()
    for _ in range(before):
        world.speak()
    world.control("pause")
    world.pass_time(1)
    world.cut()
    world.restart_client(world.session.issue_token())
    world.captured_ms = 0
    world.control("resume")
    for chunk in range(16):
        world.speak()
        if chunk == after:
            world.kill()
    world.control("stop")
    world.pass_time(15)
    (saved,) = world.saved
    assert saved.complete
    count = (before + 16) // 2
    assert [(word.text, word.start_s) for word in saved.words] == [(f" w{n}", n / 2) for n in range(count)]
    assert world.errors() == []


def reloaded(chunks: int) -> World:
    """A page that goes on with a session in which so many quarters of a second were said before."""
    world = spoken(chunks)
    world.control("pause")
    world.pass_time(1)
    world.cut()
    world.restart_client(world.session.issue_token())
    world.captured_ms = 0
    world.control("resume")
    return world


@pytest.mark.requirement("L4", "R1")
@pytest.mark.parametrize("arrived", [1, 2, 3])
def test_a_page_whose_link_is_slow_after_its_server_died(arrived: int) -> None:
    """What the old page had takes no more time than it had, though not all that followed is here again."""
    world = reloaded(8)
    for _ in range(10):
        world.speak()
    world.kill()
    world.slow_from = 8 + arrived
    world.pass_time(14)
    world.slow_from = None
    world.cut()
    world.pass_time(6)
    world.control("stop")
    world.pass_time(15)
    (saved,) = world.saved
    assert [(word.text, word.start_s) for word in saved.words] == [(f" w{n}", n / 2) for n in range(9)]
    assert world.errors() == []


@pytest.mark.requirement("L4", "R1", "R3")
@pytest.mark.parametrize("blocks", [False, True])
def test_what_is_said_after_a_reload_and_a_kill_is_heard_at_once(blocks: bool) -> None:
    """The new server asks for what nobody has any more: that keeps no live audio waiting, by either way."""
    world = reloaded(8)
    for _ in range(4):
        world.speak()
    world.kill()
    if blocks:
        world.client.use_blocks(world.now)
        world.pump()
    for _ in range(12):
        world.speak()
    assert world.session.next_seq >= 8 + 4 + 12 - 4
    assert world.client.ledger.balanced()
    world.control("stop")
    world.pass_time(5)
    (saved,) = world.saved
    assert saved.complete
    assert [(word.text, word.start_s) for word in saved.words] == [(f" w{n}", n / 2) for n in range(12)]
    assert world.errors() == []


@pytest.mark.requirement("L4", "R1")
def test_a_page_that_has_said_nothing_yet_can_be_stopped_after_its_server_died() -> None:
    """What the new server asks for nobody has, but it is known: the button takes effect, nothing is lost."""
    world = reloaded(8)
    world.decode_s = 5.0
    world.control("pause")
    world.kill()
    world.decode_s = 0.0
    world.pass_time(5)
    world.control("stop")
    world.pass_time(35)
    (saved,) = world.saved
    assert saved.complete
    assert saved.text.replace("\n", " ") == words(0, 4)
    assert world.errors() == []


def test_a_reloaded_page_goes_on_behind_what_was_said() -> None:
    """A new client has none of the audio before: it numbers on, and nothing of its own is passed over."""
    world = spoken(12)
    world.control("flush")
    world.speak()
    world.kill()
    state = world.state()
    world.take_up()
    token = world.session.issue_token()
    world.restart_client(token)
    assert world.session.next_seq == max(state.mark.committed_seq, state.mark.below.next_seq)
    world.captured_ms = 0
    for _ in range(8):
        world.speak()
    world.control("stop")
    world.pass_time(5)
    heard = [word.text for word in world.saved[0].words]
    assert heard[:6] == [f" w{i}" for i in range(6)]
    assert len(heard) == len(set(heard)) >= 9
    assert world.client.ledger.lost == 0


def test_marks_wait_for_the_journal() -> None:
    """While the disk is full nothing is freed at the client, and a person is told; then it is."""
    world = spoken(8)
    before = world.session.committed_seq
    world.engine.journal_failed(world.now)
    for _ in range(8):
        world.speak()
    assert world.session.committed_seq == before
    assert world.session.degraded == "journal"
    world.engine.journal_restored(world.now)
    world.pump()
    assert world.session.committed_seq > before
    assert world.session.degraded == ""
    assert finished(world) == words(0, 8)


def test_a_session_stays_until_its_journal_is_written() -> None:
    """Nobody comes back while the disk is full: it is kept, and suspended once there is space again."""
    world = spoken(10)
    world.engine.journal_failed(world.now)
    world.reachable = False
    world.cut()
    world.pass_time(300)
    assert world.stage is Stage.OPEN
    world.engine.journal_restored(world.now)
    world.pump()
    assert world.stage is Stage.SUSPENDED
    assert " ".join(final.text for final in world.state().unfinished) == words(0, 5)


def test_no_mark_comes_before_its_words() -> None:
    """What a feed says is settled while a decode runs holds words that no one was told yet: it waits."""
    world = World(ScriptedWorker(), answer_at_once=False)
    world.start()
    for _ in range(8):
        world.speak(real_time=False)
    while not any(isinstance(effect, fx.Recognise) for _, effect in world.owed):
        world.answer()
        world.pump()
    job = next(effect for _, effect in world.owed if isinstance(effect, fx.Recognise))
    hearing = fx.Hearing(1.0, 1.0, 0.0, wants_step=False, slowed=False, language="en")
    feed = next(effect for _, effect in world.owed if isinstance(effect, fx.FeedAudio))
    early = fx.AudioReport(16_000 + 4_000, feed.seq + 1, None, None, hearing)
    world.engine.audio_fed(feed.seq, early, world.now)
    world.pump()
    assert world.session.committed_seq == 0
    said = (Word(" w0", 0.0, 0.5, 0.8), Word(" w1", 0.5, 1.0, 0.8))
    world.engine.recognised(
        job.job, fx.RecognitionReport((Partial(0, 0, said, 2, 1.0),), 20_000, 0.0, hearing), world.now
    )
    world.pump()
    assert world.session.committed_seq == feed.seq
    kinds = [type(record) for record in world.journal]
    assert kinds.index(CommittedRecord) < kinds.index(MarkRecord)


def test_ten_minutes_of_silence_free_the_buffer() -> None:
    """Nothing is said for ten minutes: of its audio the client keeps some seconds, and so after a restart."""
    world = World()
    world.worker.silent = True
    world.start()
    for _ in range(600):
        world.speak(1_000)
    world.kill()
    world.pass_time(2)
    world.worker.silent = True
    world.speak(1_000)
    first, last = world.client._audio.bounds
    assert last - first <= 6
    assert world.worker.fed[0] >= 590


def test_only_a_journal_is_read() -> None:
    """What does not begin as a journal, or is of another version, is refused; a torn end is no harm."""
    begun = SessionRecord("session", "scripted", STARTED)
    world = spoken(10)
    for records in ([], world.journal, [SessionRecord("session", "scripted", STARTED, version=2)]):
        with pytest.raises(StorageError):
            recover(records)
    for end in range(len(world.journal)):
        state = recover([begun, *world.journal[:end]])
        assert state.start_s >= state.mark.settled_s
        assert state.completed is None


def test_the_end_is_in_the_journal() -> None:
    """A session that is saved is known to be, and by which tokens; its text is all there."""
    world = spoken(8)
    world.control("stop")
    state = world.state()
    assert state.completed is not None
    assert state.completed.summary.file == "file.txt"
    assert state.token_hashes == world.session.token_hashes
    assert [type(final) for final in state.finals] == [Final]
    assert {TokenRecord, EventRecord} <= {type(record) for record in world.journal}


@pytest.mark.parametrize("gives", [True, False])
def test_a_session_that_had_reached_its_length_is_finished(gives: bool) -> None:
    """Killed before its client heard that all was received: that is brought again, or given up in the end."""
    world = World(limits=wire.Limits(max_session_s=5))
    world.start()
    while not any(isinstance(record, PhaseRecord) and record.phase in ENDING for record in world.journal):
        world.speak()
        if world.client.ledger.held == 0 and world.client.ledger.accepted == 19:
            world.dies_after = 3  # the twentieth is received, the end is in the journal, and nothing is told
    assert not world.serving
    assert world.client.ledger.accepted == 19
    if not gives:
        world.client._audio.close(19)
    world.pass_time(60)
    assert world.client.shown is Shown.COMPLETED
    assert world.client.ledger.balanced()
    assert (world.client.ledger.accepted, world.client.ledger.lost) == ((20, 0) if gives else (19, 1))
    (transcript,) = world.saved
    assert transcript.complete is gives

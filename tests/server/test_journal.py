"""The files that let a session outlive its server: whole lines, one owner, nothing that others may read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.engine.journal import EventRecord, LanguageRecord, MarkRecord, SessionRecord, TokenRecord
from rtstt_lab.errors import OverloadedError, SessionNotFoundError, StorageError
from rtstt_lab.server.journal import JournalFolder

WORDS = "¿Qué tal?\nA second line, and “quotes”."


def records(session_id):
    """Of several kinds, with what text may hold."""
    return [
        SessionRecord(session_id, "base", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), metadata={"who": WORDS}),
        TokenRecord(("0" * 64,)),
        LanguageRecord("es"),
        EventRecord(WORDS),
        *(MarkRecord(n, n, n / 10, n / 10) for n in range(3)),
    ]


def written(folder, session_id=None):
    """A journal with these records, closed again."""
    session_id = session_id or str(uuid4())
    journal = folder.create(session_id)
    for record in records(session_id):
        journal.append(record)
    journal.close()
    return session_id


@pytest.fixture
def folder(tmp_path):
    return JournalFolder(tmp_path / "output" / ".rtstt_journal")


def test_a_session_that_ends_while_its_journal_is_to_be_synced(folder):
    """The upkeep holds a journal that is closed, or deleted, before its turn: nothing is wrong with it."""
    for end in ("close", "delete"):
        journal = folder.create(str(uuid4()))
        journal.append(LanguageRecord("es"))
        getattr(journal, end)()
        journal.sync()
    assert len(folder.sessions()) == 1


@pytest.mark.requirement("R1", "S2")
def test_what_was_written_is_read(folder):
    """Records come back as they were, at once and after being taken up; the end removes file and folder."""
    session_id = str(uuid4())
    journal = folder.create(session_id)
    for number, record in enumerate(records(session_id), 1):
        journal.append(record)
        assert folder.read(session_id) == records(session_id)[:number]
    assert journal.unsynced
    journal.sync()
    assert not journal.unsynced
    journal.close()
    journal.close()
    taken, found = folder.take(session_id)
    assert found == records(session_id)
    taken.append(LanguageRecord("en"))
    assert folder.read(session_id)[-1] == LanguageRecord("en")
    assert list(folder.sessions()) == [session_id]
    taken.delete()
    assert not folder.path.exists()
    assert folder.sessions() == {}
    for look in (folder.read, folder.take):
        with pytest.raises(SessionNotFoundError):
            look(session_id)


@pytest.mark.requirement("S2")
def test_only_the_owner_may_read(folder):
    """Whatever the umask, and as long as the file is there."""
    before = os.umask(0)
    try:
        session_id = written(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    (file,) = folder.path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    folder.take(session_id)[0].close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damage_at_the_end_costs_no_more_than_the_end(tmp_path_factory, data):
    """Cut or overwritten anywhere: all whole lines before it are read, and what is appended follows them."""
    folder = JournalFolder(tmp_path_factory.mktemp("journal"))
    session_id = written(folder)
    (file,) = folder.path.iterdir()
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1), label="at")
    tail = data.draw(
        st.one_of(
            st.just(b""),  # torn
            st.binary(min_size=1, max_size=40),
            st.just(bytes(len(whole) - at)),  # blocks that were never written
            st.integers(1, 255).map(lambda bits: bytes([whole[at] ^ bits]) + whole[at + 1 :]),
        ),
        label="tail",
    )
    file.write_bytes(whole[:at] + tail)
    intact = whole[:at].count(b"\n")
    if (whole[:at] + tail).startswith(whole[: whole.find(b"\n", at) + 1]):  # it happened to be the same
        intact += 1
    journal, found = folder.take(session_id)
    assert found == records(session_id)[: len(found)]
    assert len(found) >= intact
    assert folder.read(session_id) == found
    journal.append(LanguageRecord("de"))
    journal.close()
    assert folder.read(session_id) == [*found, LanguageRecord("de")]


def test_every_cut_of_the_last_line_is_survived(folder):
    """Byte by byte: a server killed at any moment of a write leaves what was written before."""
    session_id = written(folder)
    (file,) = folder.path.iterdir()
    whole = file.read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        file.write_bytes(whole[:end])
        assert folder.read(session_id) == records(session_id)[:-1]


def test_damage_is_logged_without_a_word_of_it(folder, caplog):
    """How many bytes are cut off, and not what they said."""
    session_id = written(folder)
    (file,) = folder.path.iterdir()
    with file.open("ab") as end:
        end.write(b'00000000 {"record":"language","language":"laboratory"}\n')
    folder.take(session_id)[0].close()
    assert session_id in caplog.text
    assert "damaged" in caplog.text
    assert "laboratory" not in caplog.text


def refused(call, *args):
    """What a call fails with."""
    try:
        call(*args)
    except StorageError as error:
        return error
    return None


@pytest.mark.requirement("R1", "E3")
def test_a_full_disk_delays_records_and_loses_none(small_disk):
    """What can't be written is told and kept; when there is space again all of it is written, in order."""
    place, empty, full = small_disk
    folder = JournalFolder(place / "journal")
    session_id = str(uuid4())
    journal = folder.create(session_id)
    journal.append(records(session_id)[0])
    full()
    told = [LanguageRecord(f"{number:0100}") for number in range(100)]
    errors = [error for record in told if (error := refused(journal.append, record))]
    assert len(errors) == journal.waiting > 0
    assert {error.key for error in errors} == {"journal_full"}
    assert "--journal" in str(errors[0])
    before = folder.read(session_id)
    assert before == [records(session_id)[0], *told[: len(before) - 1]]
    with pytest.raises(StorageError):
        journal.flush()
    empty()
    journal.flush()
    assert journal.waiting == 0
    journal.close()
    assert folder.read(session_id) == [records(session_id)[0], *told]


@pytest.mark.requirement("R1", "E3")
def test_what_waits_is_written_when_a_journal_is_closed(small_disk, caplog):
    """A disk that was full has space again: an orderly end loses nothing; else it says what it loses."""
    place, empty, full = small_disk
    folder = JournalFolder(place / "journal")
    kept, lost = str(uuid4()), str(uuid4())
    journals = [folder.create(session_id) for session_id in (kept, lost)]
    for journal, record in zip(journals, (records(kept)[0], records(lost)[0]), strict=True):
        journal.append(record)
    full()
    told = [LanguageRecord(f"{number:0100}") for number in range(100)]
    for journal in journals:
        for record in told:
            refused(journal.append, record)
        assert journal.waiting
    journals[1].close()
    assert f"{lost}.jsonl" in caplog.text
    empty()
    journals[0].close()
    assert folder.read(kept) == [records(kept)[0], *told]


OTHER_SERVER = """
import pathlib, sys
from rtstt_lab.errors import OverloadedError
from rtstt_lab.server.journal import JournalFolder
try:
    journal, _ = JournalFolder(pathlib.Path(sys.argv[1])).take(sys.argv[2])
except OverloadedError as error:
    print(error.key, flush=True)
else:
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.mark.requirement("R1")
def test_one_session_is_open_in_one_server_only(folder):
    """In this process or another one; who is killed lets go, and so does who is done."""
    session_id = written(folder)
    journal, _ = folder.take(session_id)
    with pytest.raises(OverloadedError) as refused:
        JournalFolder(folder.path).take(session_id)
    assert refused.value.retry_after_s

    def other():
        command = [sys.executable, "-c", OTHER_SERVER, str(folder.path), session_id]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with other() as process:
        assert process.communicate(timeout=60)[0].strip() == "journal_elsewhere"
    journal.close()
    with other() as process:
        assert process.stdout.readline().strip() == "taken"
        with pytest.raises(OverloadedError):
            folder.take(session_id)
        assert folder.read(session_id) == records(session_id)
        process.kill()
    folder.take(session_id)[0].delete()
    assert not folder.path.exists()


def test_a_session_that_could_not_be_taken_up_can_be_when_there_is_memory_again(folder, monkeypatch):
    """Whatever goes wrong on the way, its file is open in no server afterwards."""
    session_id = str(uuid4())
    journal = folder.create(session_id)
    journal.append(records(session_id)[0])
    journal.close()
    monkeypatch.setattr("rtstt_lab.server.journal.recover", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        folder.take_up(session_id)
    monkeypatch.undo()
    journal, state = folder.take_up(session_id)
    journal.close()
    assert state.session.session_id == session_id


def test_a_journal_deleted_meanwhile_is_not_taken(folder):
    """Whoever opened it in the last moment finds that it is gone."""
    session_id = written(folder)
    other = written(folder)
    journal, _ = folder.take(session_id)
    journal.delete()
    with pytest.raises(SessionNotFoundError):
        folder.take(session_id)
    assert list(folder.sessions()) == [other]


def test_other_files_are_passed_over(folder, tmp_path):
    """Only plain files that are named like a session count; a link is not followed."""
    session_id = written(folder)
    (tmp_path / "secret").write_text("x")
    for name in ("notes.txt", "nonsense.jsonl", f"{UUID(session_id).hex}.jsonl", f"{session_id}.tmp"):
        (folder.path / name).write_text("x")
    (folder.path / f"{uuid4()}.jsonl").symlink_to(tmp_path / "secret")
    assert list(folder.sessions()) == [session_id]
    folder.take(session_id)[0].delete()
    assert (folder.path / "notes.txt").exists()


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """Before the first session, with what to do about it; a good one is left as it was."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="--journal"):
        JournalFolder(tmp_path / "file" / "journal").check()
    JournalFolder(tmp_path / "journal").check()
    assert not (tmp_path / "journal").exists()

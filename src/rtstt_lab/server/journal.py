"""The text journals of open sessions: one file each, so that a session outlives the process that serves it.

A line is a record's CRC-32, a blank, and the record as JSON. Records are written one by one with ``write(2)``
and no buffer of our own, before the client hears of what they say: from then on the operating system has
them, and a server that is killed loses none. `Journal.sync` brings them to the disk itself; it waits for the
disk, so it runs on a thread: about once a second while something new is there, and when memory runs low;
besides it ends a journal that is closed. A power cut can therefore cost the last second or so; a sync before
every acknowledgement would cost all sessions of the server a disk's latency, several times a second.

Who has a session open holds the lock of its file (``flock``; the system releases it with the process, however
that ends). Files of suspended sessions are locked by nobody: several servers may share a folder, and each can
take up what no other one has open. Files are for their owner only (0600), and so is the folder (0700), if it
was made here. A folder that was made here is there as long as files are in it.
"""

from __future__ import annotations

import errno
import logging
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final as Constant
from uuid import UUID

import msgspec
from filelock import lock_descriptor, unlock_descriptor

from rtstt_lab.engine.journal import Record, SessionState, recover
from rtstt_lab.errors import OverloadedError, SessionNotFoundError, StorageError

_SUFFIX: Constant = ".jsonl"
_FULL: Constant = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CRC_CHARACTERS: Constant = 8
_RETRY_S: Constant = 5.0

log = logging.getLogger(__name__)


class Journal:
    """One session's file, open and locked. Called on one thread, but for `sync`.

    What can't be written is kept, in order, and written with the next `append` or `flush`.

    Args:
        path: of the file.
        descriptor: of the same, locked, open for reading and appending; owned from now on.
        length: of its whole lines; what lies behind is cut off.
    """

    def __init__(self, path: Path, descriptor: int, length: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._length = length
        self._torn = True
        self._waiting: deque[bytes] = deque()
        self._unsynced = False

    @property
    def waiting(self) -> int:
        """Records that could not be written yet."""
        return len(self._waiting)

    @property
    def written_s(self) -> float:
        """When its last record was written (Unix time)."""
        return os.fstat(self._descriptor).st_mtime

    @property
    def unsynced(self) -> bool:
        """Something was written since the last `sync` began."""
        return self._unsynced

    def append(self, record: Record) -> None:
        """Writes a record into the system's hands.

        Raises:
            StorageError: it could not be written, or one before it; it is kept for later.
        """
        self._waiting.append(_line(record))
        self.flush()

    def flush(self) -> None:
        """Writes what waits.

        Raises:
            StorageError: not all of it could be written.
        """
        with _writing(self._path):
            while self._waiting:
                if self._torn:
                    os.ftruncate(self._descriptor, self._length)
                self._torn = True
                rest = self._waiting[0]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
                self._torn = False
                self._length += len(self._waiting.popleft())
                self._unsynced = True

    def sync(self) -> None:
        """Waits until everything written so far is on the disk; from any thread, and idle once it is closed.

        Raises:
            StorageError: the disk says no.
        """
        with _writing(self._path):
            try:
                descriptor = os.dup(self._descriptor)  # `close` may come meanwhile
            except OSError:
                if self._descriptor < 0:  # or has come
                    return
                raise
            try:
                self._unsynced = False
                os.fsync(descriptor)
            except OSError:
                self._unsynced = True
                raise
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Lets go of the file, which stays, with all that waited on the disk; again it changes nothing.

        What can't be written now is lost to the journal, and that is logged.
        """
        if self._descriptor >= 0:
            try:
                self.flush()
                if self._unsynced:
                    self.sync()
            except StorageError as error:
                log.error(  # noqa: TRY400 - the message says it all
                    "%s: its newest records may be lost, %d are: %s",
                    self._path.name,
                    self.waiting,
                    error,
                )
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                unlock_descriptor(descriptor)
            os.close(descriptor)

    def delete(self) -> None:
        """Removes the file, and the folder with the last one.

        Raises:
            StorageError: it can't be removed.
        """
        self._waiting.clear()
        self._unsynced = False
        with _writing(self._path):
            try:
                self._path.unlink(missing_ok=True)
            except PermissionError:  # as long as it is open, on Windows
                self.close()
                self._path.unlink(missing_ok=True)
        self.close()
        _tidy(self._path.parent)


class JournalFolder:
    """The journals of one server, or of several on the same folder.

    Args:
        path: made when the first session needs it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Tries whether a journal can be kept here.

        Raises:
            StorageError: it can't.
        """
        probe, is_new = self.path / f".{os.getpid()}.tmp", not self.path.parent.exists()
        with _writing(probe):
            os.close(self._opened(probe, os.O_CREAT | os.O_RDWR))
            probe.unlink(missing_ok=True)
        _tidy(self.path)
        if is_new:
            _tidy(self.path.parent)

    def create(self, session_id: str) -> Journal:
        """The journal of a new session, open.

        Raises:
            StorageError: the file can't be made.
        """
        path = self._file(session_id)
        with _writing(path):
            descriptor = self._opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        with _closed_on_failure(descriptor):
            _lock(path, descriptor)
        return Journal(path, descriptor, 0)

    def take(self, session_id: str) -> tuple[Journal, list[Record]]:
        """Opens a session's journal to go on with it; a torn or damaged end is cut off, and that is logged.

        Raises:
            SessionNotFoundError: there is none.
            OverloadedError: another server has it open.
            StorageError: it can't be read.
        """
        path = self._file(session_id)
        with _finding(session_id), _writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
        with _closed_on_failure(descriptor), _writing(path):
            _lock(path, descriptor)
            if not os.fstat(descriptor).st_nlink:  # deleted before the lock was ours
                raise SessionNotFoundError("session_unknown", session_id=session_id)
            data = path.read_bytes()
            records, length = _parse(data)
        if damaged := len(data) - length:
            log.warning("journal of session %s: its last %d bytes are damaged: cut off", session_id, damaged)
        return Journal(path, descriptor, length), records

    def take_up(self, session_id: str) -> tuple[Journal, SessionState]:
        """Opens a session's journal to go on where it ends; a long one takes a tenth of a second and more.

        Raises:
            SessionNotFoundError: there is none.
            OverloadedError: another server has it open.
            StorageError: it can't be read.
        """
        journal, records = self.take(session_id)
        try:
            return journal, recover(records)
        except BaseException:  # of memory that lacks, too: nobody else could take it up
            journal.close()
            raise

    def read(self, session_id: str) -> list[Record]:
        """What a session's journal says, whoever has it open; nothing is changed.

        Raises:
            SessionNotFoundError: there is none.
            StorageError: it can't be read.
        """
        path = self._file(session_id)
        with _finding(session_id), _writing(path):
            return _parse(path.read_bytes())[0]

    def sessions(self) -> dict[str, float]:
        """Session ids, each with the moment of its last record (Unix time), the oldest first.

        Raises:
            StorageError: the folder can't be read.
        """
        found: dict[str, float] = {}
        with _writing(self.path), suppress(FileNotFoundError):
            for entry in os.scandir(self.path):
                with suppress(ValueError, FileNotFoundError):
                    name = entry.name.removesuffix(_SUFFIX)
                    if f"{UUID(name)}{_SUFFIX}" == entry.name and entry.is_file(follow_symlinks=False):
                        found[name] = entry.stat().st_mtime
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def _file(self, session_id: str) -> Path:
        return self.path / f"{session_id}{_SUFFIX}"

    def _opened(self, path: Path, flags: int) -> int:
        """A descriptor for the owner only; the folder is made if need be, and again if another removed it."""
        for _ in range(3):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            with suppress(FileNotFoundError):
                return os.open(path, flags, 0o600)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _line(record: Record) -> bytes:
    body = msgspec.json.encode(record)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(data: bytes) -> tuple[list[Record], int]:
    """The records of the whole and undamaged lines from the beginning on, and the length of these."""
    records: list[Record] = []
    length = 0
    for line in _lines(data):
        crc, body = line[:_CRC_CHARACTERS], line[_CRC_CHARACTERS + 1 : -1]
        try:
            if line != b"%s %s\n" % (crc, body) or crc != b"%08x" % zlib.crc32(body):
                break
            records.append(_decoder.decode(body))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            break
        length += len(line)
    return records, length


def _lines(data: bytes) -> Iterable[bytes]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start : end + 1]
        start = end + 1


_decoder: Constant = msgspec.json.Decoder(Record)


def _lock(path: Path, descriptor: int) -> None:
    with _writing(path):
        mine = lock_descriptor(descriptor, blocking=False)
    if not mine:
        raise OverloadedError("journal_elsewhere", retry_after_s=_RETRY_S, path=path)


@contextmanager
def _closed_on_failure(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _tidy(folder: Path) -> None:
    """Removes the folder with its last file; where others are in it, it stays."""
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        key = "journal_full" if error.errno in _FULL else "journal_failed"
        raise StorageError(key, path=path, reason=error.strerror or error) from error


@contextmanager
def _finding(session_id: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise SessionNotFoundError("session_unknown", session_id=session_id) from None
        raise

"""What a server and its children write: every file opened for writing, and every byte that goes there."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

_CALLS = (
    "?open,openat,?openat2,?creat,?memfd_create,write,?pwrite64,writev,?pwritev,?pwritev2,?sendfile,"
    "?copy_file_range,?splice,?truncate,?link,?linkat,?symlinkat,?mknodat,?io_uring_setup"
)
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_TARGET = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_FOR_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE")
_PIECE_BYTES = 24
_PIECES = 1_500


class Trace:
    """By the system calls themselves: nothing escapes it."""

    complete = True

    def __init__(self, folder):
        self._log = folder / "trace"

    @staticmethod
    def possible():
        """Whether there is a tracer, and it may trace."""
        strace = shutil.which("strace")
        tried = [strace, "-f", "--seccomp-bpf", "-D", "-o", os.devnull, "true"]
        return bool(strace) and subprocess.run(tried, capture_output=True, check=False).returncode == 0

    @property
    def before(self):
        """What the command begins with. ``-D`` leaves the server our own child."""
        strings = ("-y", "-xx", "-s", "10000000")
        return (
            "strace",
            "-D",
            "-f",
            "--seccomp-bpf",
            *strings,
            "-o",
            str(self._log),
            "-e",
            f"trace={_CALLS}",
        )

    def begin(self, pid):
        """The process runs."""

    def end(self, pid, within_s=60.0):
        """The process has ended: waits for the tracer's last line.

        Returns:
            The paths that were opened for writing or made, and what was written, by path.
        """
        until = time.monotonic() + within_s
        while not re.search(rf"^{pid} +\+\+\+", self._log.read_text("ascii", "replace"), re.MULTILINE):
            assert time.monotonic() < until, "the tracer does not end"
            time.sleep(0.05)
        opened, written = set(), defaultdict(bytearray)
        for line in self._log.read_text("ascii").splitlines():
            if found := _LINE.match(line):
                _read_call(found[2], found[3], opened, written)
        return opened, {path: bytes(data) for path, data in written.items()}


class Glances:
    """By looking at the open files again and again: what is there for an instant only escapes it."""

    complete = False

    before = ()

    def __init__(self, folder):
        self._opened, self._written = set(), {}
        self._over = threading.Event()
        self._looking = None

    def begin(self, pid):
        """The process runs."""
        self._looking = threading.Thread(target=self._look, args=(Path(f"/proc/{pid}"),))
        self._looking.start()

    def end(self, pid):
        """As `Trace.end`; of a file that was deleted what it held when it was last seen."""
        self._over.set()
        self._looking.join()
        return self._opened, self._written

    def _look(self, process):
        while not self._over.wait(0.002):
            with suppress(OSError):
                for entry in (process / "fd").iterdir():
                    with suppress(OSError):
                        self._see(process, entry)

    def _see(self, process, entry):
        if not entry.is_file():
            return
        flags = re.search(r"flags:\s+(\d+)", (process / "fdinfo" / entry.name).read_text())
        if flags and int(flags[1], 8) & (os.O_WRONLY | os.O_RDWR):
            path = str(entry.readlink()).removesuffix(" (deleted)")
            self._opened.add(path)
            self._written[path] = entry.read_bytes()


def watch(folder):
    """The better of the two that this machine allows."""
    return Trace(folder) if Trace.possible() else Glances(folder)


def _read_call(call, arguments, opened, written):
    if call.endswith(("open", "openat", "openat2")):
        if any(flag in arguments for flag in _FOR_WRITING):
            opened.add(_bytes(_TEXT.search(arguments)[1]).decode())
    elif "write" in call:
        if target := _TARGET.match(arguments):
            path = _bytes(target[2]).decode()
            written[path] += b"".join(map(_bytes, _TEXT.findall(arguments)))
    else:  # making or changing a file in any other way
        opened.update(_bytes(text).decode() for text in _TEXT.findall(arguments))
        opened.update([] if _TEXT.search(arguments) else [call])


def _bytes(text):
    return bytes.fromhex("".join(_HEX.findall(text)))


def found(payload, haystack):
    """Where a piece of a payload begins that was written: as it is, in hexadecimal, base64 or escapes."""
    step = max(_PIECE_BYTES, len(payload) // _PIECES)
    for start in range(0, len(payload) - _PIECE_BYTES, step):
        piece = payload[start : start + _PIECE_BYTES]
        if len(set(piece)) > _PIECE_BYTES // 3 and any(form in haystack for form in _forms(piece)):
            return start
    return None


def _forms(piece):
    yield piece
    yield piece.hex().encode()
    yield repr(piece)[2:-1].encode()
    for shift, first in ((0, 0), (1, 2), (2, 3)):
        yield base64.b64encode(bytes(shift) + piece)[first:-4]

"""A peer's process: started with the measured number of threads, watched, and ended with all below it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import psutil

from rtstt_lab.errors import RecognitionError
from rtstt_lab.lab.bench.meters import tree_cpu_s, tree_rss_mb

_END_S: Final = 10.0
_LOG_LINES: Final = 3


def environment(threads: int) -> dict[str, str]:
    """Of a peer: its threads, and no model hub, since its weights are a folder on this machine."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {
        **os.environ,
        **counts,
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONUNBUFFERED": "1",
    }


class PeerProcess:
    """Runs a command; a context manager.

    Args:
        command: arguments, the program first.
        log: what it writes to stderr (and to stdout, unless that is a pipe) goes there.
        threads: that it may compute with.
        piped: whether its stdin and stdout are pipes of bytes.
    """

    def __init__(self, command: Sequence[str], log: Path, *, threads: int, piped: bool = False) -> None:
        self._log = log
        self._file = log.open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else self._file,
            stderr=self._file,
            env=environment(threads),
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its stdin and stdout.

        Raises:
            RecognitionError: it was started without.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RecognitionError("system_failed", reason="no pipes")
        return stdin, stdout

    def cpu_s(self) -> float:
        """CPU seconds of its tree so far."""
        return tree_cpu_s(self._process.pid)

    def rss_mb(self) -> float:
        """Resident memory of its tree."""
        return tree_rss_mb(self._process.pid)

    def failure(self, what: str) -> RecognitionError:
        """An error that carries the last lines that it wrote."""
        with suppress(OSError):
            lines = self._log.read_text("utf-8", errors="replace").splitlines()
            what = " | ".join([what, *[line for line in lines if line.strip()][-_LOG_LINES:]])
        return RecognitionError("system_failed", reason=what)

    def close(self) -> None:
        """Ends it and all below it."""
        tree: list[psutil.Process] = []
        if self.running:  # its number may be another's by now
            with suppress(psutil.Error):
                root = psutil.Process(self._process.pid)
                tree = [*root.children(recursive=True), root]
        for process in tree:
            with suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(tree, timeout=_END_S)[1]:
            with suppress(psutil.Error):
                process.kill()
        self._process.wait(_END_S)
        for stream in (self._process.stdin, self._process.stdout, self._file):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""A server of one's own: a child process, with a random port and secret, that ends with its parent."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import psutil

from rtstt_lab.errors import ServiceError

_STDERR_LINES: Final = 200


class LocalServer:
    """``rtstt serve`` as a child process; use as a context manager, plain or ``async``.

    Leaving the context lets it settle and save what is open. It does the same when this process ends, in
    whatever way, since it watches a pipe that closes then.

    Args:
        model: loaded before the server is ready.
        language: used where a session names none.
        output: folder of the transcripts.
        device: ``cpu``, ``cuda`` or ``auto``.
        compute_type: CTranslate2's; ``None`` lets the device decide.
        port: 0 takes any free one.
        token: the secret; a random one by default.
        arguments: further options of ``rtstt serve``.
        ready_timeout_s: at most so long for the model to load.
        on_progress: gets each line that the server writes on stderr, from a thread.
    """

    def __init__(
        self,
        *,
        model: str = "base",
        language: str | None = None,
        output: Path = Path("output"),
        device: str = "auto",
        compute_type: str | None = None,
        port: int = 0,
        token: str | None = None,
        arguments: Sequence[str] = (),
        ready_timeout_s: float = 300.0,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.output = output
        self.port = port
        chosen = {"model": model, "language": language, "device": device, "compute-type": compute_type}
        self._command = [
            *(sys.executable, "-m", "rtstt_lab", "serve", "--until-stdin-closes"),
            *("--port", str(port), "--output", str(output)),
            *(part for name, value in chosen.items() if value for part in (f"--{name}", value)),
            *arguments,
        ]
        self._ready_timeout_s = ready_timeout_s
        self._on_progress = on_progress
        self._process: subprocess.Popen[str] | None = None
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._readers: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the child; ``None`` before `start`."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """The child is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def messages(self) -> list[str]:
        """What it wrote on stderr, its newest lines."""
        return list(self._stderr)

    def process_cpu_s(self) -> float:
        """CPU seconds of the child and all below it so far; 0 when it is gone."""
        total_s = 0.0
        with suppress(psutil.Error):
            child = psutil.Process(self.pid) if self.running else None
            for process in (child, *child.children(recursive=True)) if child else ():
                with suppress(psutil.Error):  # one that ended meanwhile
                    times = process.cpu_times()
                    total_s += times.user + times.system
        return total_s

    def start(self) -> LocalServer:
        """Starts the child and waits until it answers.

        Raises:
            ServiceError: it ended, or was not ready in time; the message carries what it said.
        """
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RTSTT_TOKEN": self.token, "PYTHONUNBUFFERED": "1"},
            encoding="utf-8",
            errors="replace",
            process_group=0,  # Ctrl-C is for the parent, which then lets the server save
        )
        lines: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=_read, args=(self._process.stdout, lines.put), daemon=True),
            threading.Thread(target=_read, args=(self._process.stderr, self._note), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.port = self._await_ready(lines)
        except BaseException:
            self.stop(timeout_s=0.0)
            raise
        return self

    def stop(self, timeout_s: float = 90.0) -> None:
        """Lets it settle, save and end; after ``timeout_s`` it is ended by force."""
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            if process.stdin:
                process.stdin.close()
        for end in (process.poll, process.terminate, process.kill):
            end()
            try:
                process.wait(timeout_s)
                break
            except subprocess.TimeoutExpired:
                timeout_s = 5.0
        for reader in self._readers:
            reader.join(timeout=5.0)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> LocalServer:
        starting = asyncio.create_task(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if self._process is not None:
                self._process.terminate()
            await asyncio.wait([starting])
            if starting.exception() is None:
                self.stop(timeout_s=0.0)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _await_ready(self, lines: queue.Queue[str | None]) -> int:
        try:
            line = lines.get(timeout=self._ready_timeout_s)
        except queue.Empty:
            raise ServiceError(
                "server_slow", seconds=round(self._ready_timeout_s), reason=self._said()
            ) from None
        try:
            return int(json.loads(line or "")["port"])
        except (ValueError, KeyError, TypeError):
            self._readers[1].join(timeout=5.0)
            raise ServiceError("server_start", reason=self._said() or line or "–") from None

    def _said(self) -> str:
        return self.messages[-1].removeprefix("Error: ") if self._stderr else ""

    def _note(self, line: str | None) -> None:
        if line is None:
            return
        self._stderr.append(line)
        if self._on_progress:
            self._on_progress(line)


def _read(pipe: IO[str], put: Callable[[str | None], object]) -> None:
    for line in pipe:
        if line.strip():
            put(line.rstrip())
    put(None)

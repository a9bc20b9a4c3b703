"""A server of one's own: a child process, with a random port and secret, that ends with its parent."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

from rtstt_lab.client.child import ServerChild
from rtstt_lab.errors import ServiceError
from rtstt_lab.protocol.timing import Counter
from rtstt_lab.texts import preferred_language, text

_STDERR_LINES: Final = 200
_MOST_DEATHS: Final = 6
_DEATHS_WITHIN_S: Final = 600.0
_RESTART_AGAIN_S: Final = 1.0


class LocalServer:
    """``rtstt serve`` as a child process; use as a context manager, plain or ``async``.

    Leaving the context lets it settle and save what is open. It does the same when this process ends, in
    whatever way, since it watches a pipe that closes then. A child that dies by itself (killed, or out of
    memory) is started again on the same port, with the same secret and journal, so that open sessions go on;
    after the sixth death within ten minutes it is given up.

    Args:
        model: loaded before the server is ready.
        language: used where a session names none.
        output: folder of the transcripts.
        journal: folder of the text journals of open sessions; below ``output`` by default.
        device: ``cpu``, ``cuda`` or ``auto``.
        compute_type: CTranslate2's; ``None`` lets the device decide.
        port: 0 takes any free one.
        token: the secret; a random one by default.
        arguments: further options of ``rtstt serve``.
        ready_timeout_s: at most so long for the model to load.
        on_progress: gets each line that the server writes on stderr, from a thread.

    Attributes:
        restarts: how often a child that died was replaced.
        given_up: it died too often, and is not started again by itself.
    """

    def __init__(
        self,
        *,
        model: str = "base",
        language: str | None = None,
        output: Path = Path("output"),
        journal: Path | None = None,
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
        self.restarts = 0
        self.given_up = False
        self._wanted_port = port
        chosen = {
            "model": model,
            "language": language,
            "device": device,
            "compute-type": compute_type,
            "journal": journal and str(journal),
        }
        self._options = [
            *("--output", str(output)),
            *(part for name, value in chosen.items() if value for part in (f"--{name}", value)),
            *arguments,
        ]
        self._ready_timeout_s = ready_timeout_s
        self._on_progress = on_progress
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._child: ServerChild | None = None
        self._attendant: threading.Thread | None = None
        self._starting = threading.Lock()
        self._spawning = threading.Lock()
        self._stopped = threading.Event()
        self._ready = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the child; ``None`` before `start`."""
        return self._child.process.pid if self._child else None

    @property
    def running(self) -> bool:
        """The child is there."""
        return self._child is not None and self._child.running

    @property
    def restarting(self) -> bool:
        """The child died, and another one is coming."""
        attended = self._attendant is not None and self._attendant.is_alive()
        return attended and not self._ready and not self._stopped.is_set()

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
        """Starts the child, if it doesn't run, and waits until it answers.

        Raises:
            ServiceError: it ended, or was not ready in time; the message carries what it said.
        """
        with self._starting:
            if self.running:
                return self
            died = self._child is not None and not self._stopped.is_set()  # pages know its port
            self._stopped.clear()
            self.given_up = False
            try:
                self._launch(self.port if died else self._wanted_port)
            except BaseException:
                self._end(timeout_s=0.0)
                raise
            if self._attendant is None or not self._attendant.is_alive():
                self._attendant = threading.Thread(target=self._attend, daemon=True)
                self._attendant.start()
        return self

    def stop(self, timeout_s: float = 90.0) -> None:
        """Lets it settle, save and end; after ``timeout_s`` it is ended by force."""
        self._end(timeout_s)
        if self._attendant is not None:
            self._attendant.join()

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
            if self._child is not None:
                self._child.process.terminate()
            await asyncio.wait([starting])
            if starting.exception() is None:
                self.stop(timeout_s=0.0)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _launch(self, port: int) -> None:
        self._ready = False
        with self._spawning:
            if self._stopped.is_set():
                raise ServiceError("server_start", reason="–")
            self._child = child = ServerChild(
                [
                    *(sys.executable, "-m", "rtstt_lab", "serve", "--until-stdin-closes"),
                    *("--port", str(port)),
                    *self._options,
                ],
                {**os.environ, "RTSTT_TOKEN": self.token, "PYTHONUNBUFFERED": "1"},
                self._note,
            )
        self.port = child.port(self._ready_timeout_s)
        self._ready = True

    def _end(self, timeout_s: float) -> None:
        with self._spawning:
            self._stopped.set()
            child = self._child
        if child is not None:
            child.end(timeout_s)

    def _attend(self) -> None:
        """Puts another child in the place of one that died; who ended with 0 was told to."""
        deaths = Counter(_MOST_DEATHS, _DEATHS_WITHIN_S)
        while (child := self._child) and child.process.wait() != 0 and not self._stopped.is_set():
            self._ready = False
            self.given_up = deaths.add(time.monotonic())
            self._say("server.given_up" if self.given_up else "server.died")
            child.end(timeout_s=0.0)
            if self.given_up:
                return
            with self._starting:
                if not self.running:  # or somebody has started it by hand
                    self._restart()

    def _restart(self) -> None:
        try:
            self._launch(self.port)
        except ServiceError as error:
            self._note(error.localized(preferred_language(os.environ)))
            self._stopped.wait(_RESTART_AGAIN_S)
        else:
            self.restarts += 1
            self._say("server.restarted")

    def _say(self, key: str) -> None:
        self._note(text(key, preferred_language(os.environ)))

    def _note(self, line: str) -> None:
        self._stderr.append(line)
        if self._on_progress:
            self._on_progress(line)

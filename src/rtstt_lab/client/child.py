"""A child process that says on stdout when it is ready, and ends when its stdin does."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from rtstt_lab.errors import ServiceError

_FORCED_S: Final = 5.0


class ServerChild:
    """One ``rtstt serve --until-stdin-closes``, from its start to its end.

    Args:
        command: to run.
        environment: of the child.
        note: gets each line that it writes on stderr, from a thread.

    Attributes:
        process: the child.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], note: Callable[[str], None]
    ) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._said = ""
        self._note = note
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
            errors="replace",
            process_group=0,  # Ctrl-C is for the parent, which then lets the server save
        )
        self._readers = [
            threading.Thread(target=_read, args=(pipe, told), daemon=True)
            for pipe, told in ((self.process.stdout, self._lines.put), (self.process.stderr, self._hear))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.process.poll() is None

    def port(self, timeout_s: float) -> int:
        """Waits until it answers requests.

        Args:
            timeout_s: at most so long.

        Returns:
            Where it listens.

        Raises:
            ServiceError: it ended, or was not ready in time; the message carries what it said.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise ServiceError("server_slow", seconds=round(timeout_s), reason=self._said) from None
        try:
            return int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            self._readers[1].join(timeout=_FORCED_S)
            raise ServiceError("server_start", reason=self._said or line or "–") from None

    def end(self, timeout_s: float) -> None:
        """Lets it settle, save and end; after ``timeout_s`` it is ended by force. Twice does no harm."""
        process = self.process
        with suppress(OSError):
            if process.stdin:
                process.stdin.close()
        for end in (process.poll, process.terminate, process.kill):
            end()
            try:
                process.wait(timeout_s)
                break
            except subprocess.TimeoutExpired:
                timeout_s = _FORCED_S
        for reader in self._readers:
            reader.join(timeout=_FORCED_S)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def _hear(self, line: str) -> None:
        if line:
            self._said = line.removeprefix("Error: ")
            self._note(line)


def _read(pipe: IO[str], put: Callable[[str], object]) -> None:
    """Tells each line, and an empty one at the end."""
    for line in pipe:
        if line.strip():
            put(line.rstrip())
    put("")

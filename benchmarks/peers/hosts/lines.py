"""The host's end of `benchmarks.peers.conversation.PipeLink`; imports nothing but the standard library."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any


class Lines:
    """JSON lines on what were stdin and stdout; whatever else is printed goes to stderr."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def say(self, **message: Any) -> None:
        """From any thread."""
        with self._lock:
            self._out.write(json.dumps(message).encode() + b"\n")
            self._out.flush()

    def sessions(self) -> Iterator[str | None]:
        """The language of each session, when it begins."""
        for line in self._in:
            message = json.loads(line)
            if "begin" in message:
                yield message["begin"]

    def audio(self) -> Iterator[bytes]:
        """The open session's chunks, until it ends."""
        for line in self._in:
            message = json.loads(line)
            if "end" in message:
                return
            yield base64.b64decode(message["audio"])

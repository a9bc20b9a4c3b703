"""WhisperLiveKit: LocalAgreement over faster-whisper, and AlignAtt ("SimulStreaming") over PyTorch.

*Committed*: the text of ``lines``. *Shown*: ``buffer_transcription`` behind it. An empty message ends the
audio; ``ready_to_stop`` ends the session.

AlignAtt reads the attention of a PyTorch decoder; its weights are made from the same CTranslate2 folder
(`checkpoint`), and its encoder runs on that folder itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.peers.checkpoint import checkpoint_of
from benchmarks.peers.conversation import Link, Message, SocketLink, dial
from benchmarks.peers.peer import LOOPBACK, Peer, Site
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Said, words_of


class LineReader:
    """Each message holds the whole state: all lines, and the buffer behind them."""

    def __init__(self) -> None:
        self._committed = 0

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `Reader.read`."""
        if "lines" not in message:
            return None
        words = words_of(" ".join(line.get("text") or "" for line in message["lines"]))
        fresh = words[self._committed :]
        self._committed = max(self._committed, len(words))
        return Said(fresh, words_of(message.get("buffer_transcription") or ""))


def _command(site: Site) -> Sequence[str]:
    options = {
        "host": LOOPBACK,
        "port": site.port,
        "warmup-file": "",
        "log-level": "WARNING",
        **site.settings,
    }
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    return [str(site.python.parent / "wlk"), "serve", "--pcm-input", *flags, *_weights(site)]


def _weights(site: Site) -> Sequence[str]:
    if site.settings["backend-policy"] == "localagreement":
        return [f"--model_dir={site.model}"]
    checkpoint = checkpoint_of(site)
    return [
        f"--encoder-model-path={site.model}",
        f"--decoder-model-path={checkpoint.path}",
        f"--custom-alignment-heads={checkpoint.heads}",
    ]


def _connect(site: Site, process: PeerProcess, language: str | None) -> Link:
    query = f"?language={language}" if language else ""
    socket = dial(f"ws://{LOOPBACK}:{site.port}/asr{query}", process)
    return SocketLink(socket, goodbye=b"", is_last=_is_last)


def _is_last(message: Message) -> bool:
    return message.get("type") == "ready_to_stop"


_LOCAL_AGREEMENT: Final = {"backend-policy": "localagreement", "backend": "faster-whisper"}
_ALIGNATT: Final = {"backend-policy": "simulstreaming", "backend": "faster-whisper"}

LOCAL_AGREEMENT: Final = Peer(
    name="WhisperLiveKit, LocalAgreement",
    package="whisperlivekit",
    environment="whisperlivekit",
    protocol="its WebSocket server, PCM input",
    configurations={
        "default": _LOCAL_AGREEMENT,
        "confidence": {**_LOCAL_AGREEMENT, "confidence-validation": True},
    },
    command=_command,
    connect=_connect,
    reader=LineReader,
)

ALIGNATT: Final = Peer(
    name="WhisperLiveKit, SimulStreaming",
    package="whisperlivekit",
    environment="whisperlivekit",
    protocol="its WebSocket server, PCM input",
    configurations={"default": _ALIGNATT, "beam": {**_ALIGNATT, "beams": 5}},
    command=_command,
    connect=_connect,
    reader=LineReader,
)

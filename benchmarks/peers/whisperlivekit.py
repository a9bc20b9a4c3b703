"""WhisperLiveKit: LocalAgreement over faster-whisper, and AlignAtt ("SimulStreaming") over PyTorch.

*Committed*: the text of ``lines``, from when it stays. *Shown*: ``buffer_transcription`` behind it. An empty
message ends the audio; ``ready_to_stop`` ends the session.

AlignAtt reads the attention of a PyTorch decoder; its weights are made from the same CTranslate2 folder
(`checkpoint`), and its encoder runs on that folder itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from benchmarks.peers.checkpoint import checkpoint_of
from benchmarks.peers.conversation import Link, Message, SocketLink, dial
from benchmarks.peers.peer import LOOPBACK, Peer, Site
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Said, words_of


def read_lines(messages: Sequence[Message]) -> list[Said | None]:
    """Each message holds the whole state: all lines, and the buffer behind them.

    AlignAtt lets the last word of a line grow, by parts of words. So a word is committed by the message since
    which it stands in the lines as it does at the end; until then it is shown.
    """
    states = [_words(message) if "lines" in message else None for message in messages]
    final = next((state for state in reversed(states) if state is not None), ())
    agreeing = [len(final) if state is None else _common_prefix(state, final) for state in states]
    standing = list(accumulate(reversed(agreeing), min))[::-1]
    said: list[Said | None] = []
    committed = 0
    for message, state, count in zip(messages, states, standing, strict=True):
        if state is None:
            said.append(None)
            continue
        buffer = words_of(message.get("buffer_transcription") or "")
        said.append(Said(state[committed:count], state[max(committed, count) :] + buffer))
        committed = max(committed, count)
    return said


def _words(message: Message) -> tuple[str, ...]:
    return words_of(" ".join(line.get("text") or "" for line in message["lines"]))


def _common_prefix(left: Sequence[str], right: Sequence[str]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(left), len(right)))


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
    reader=read_lines,
)

ALIGNATT: Final = Peer(
    name="WhisperLiveKit, SimulStreaming",
    package="whisperlivekit",
    environment="whisperlivekit",
    protocol="its WebSocket server, PCM input",
    configurations={"default": _ALIGNATT, "beam": {**_ALIGNATT, "beams": 5}},
    command=_command,
    connect=_connect,
    reader=read_lines,
)

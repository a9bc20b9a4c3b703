"""Which peers there are, and which there are not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from benchmarks.peers.peer import Peer
from benchmarks.peers.realtimestt import REALTIMESTT
from benchmarks.peers.whisper_live import WHISPER_LIVE
from benchmarks.peers.whisper_streaming import WHISPER_STREAMING
from benchmarks.peers.whisperflow import WHISPERFLOW
from benchmarks.peers.whisperlivekit import ALIGNATT, LOCAL_AGREEMENT

PEERS: Final = {
    "whisper-live": WHISPER_LIVE,
    "whisperlivekit": LOCAL_AGREEMENT,
    "whisperlivekit-alignatt": ALIGNATT,
    "realtimestt": REALTIMESTT,
    "whisper-streaming": WHISPER_STREAMING,
    "whisperflow": WHISPERFLOW,
}

NOT_MEASURED: Final = {
    "ufal/whisper_streaming, SimulStreaming": "not in the package index; their policies are measured as "
    "whisper-streaming (a rework by others) and inside WhisperLiveKit",
    "whisperpipe 0.1.3": "listens to a microphone only",
    "simulstream 1.0.0": "has no Whisper: its models are Canary and SeamlessM4T, from a model hub",
}
"""Streaming Whispers that the same model cannot be given to, with the reason."""


def chosen(names: Iterable[str] | None) -> list[tuple[str, Peer, str]]:
    """(key, peer, configuration) for ``peer`` (all of its configurations) or ``peer/configuration``.

    Args:
        names: ``None`` is all.

    Raises:
        BadParameter: there is no such peer or configuration.
    """
    found: list[tuple[str, Peer, str]] = []
    for name in PEERS if names is None else names:
        key, _, configuration = name.partition("/")
        peer = PEERS.get(key)
        if peer is None or (configuration and configuration not in peer.configurations):
            known = ", ".join(f"{k}/{c}" for k, each in PEERS.items() for c in each.configurations)
            raise click.BadParameter(f"{name}; known are: {known}")
        wanted = [configuration] if configuration else list(peer.configurations)
        found += [(key, peer, each) for each in wanted]
    return found

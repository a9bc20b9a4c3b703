"""whisper-streaming of the index: a rework, by others, of ufal's LocalAgreement over faster-whisper.

*Committed*: what it outputs; it shows nothing before. Its processor takes audio from a receiver and ends when
none has come for a while, when it puts out what it held back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.peers.conversation import Link, PipeLink
from benchmarks.peers.peer import HOSTS, Peer, Site
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Said, one_by_one, words_of


class OutputReader:
    """``final`` are words that are out."""

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `StepReader.read`."""
        return Said(words_of(message["final"])) if "final" in message else None


def _command(site: Site) -> Sequence[str]:
    script = HOSTS / "feed_whisper_streaming.py"
    return [str(site.python), str(script), str(site.model), json.dumps(dict(site.settings))]


def _connect(site: Site, process: PeerProcess, language: str | None) -> Link:
    del site
    return PipeLink(process, language)


WHISPER_STREAMING: Final = Peer(
    name="whisper-streaming",
    package="whisper-streaming",
    environment="whisper-streaming",
    protocol="AudioReceiver and OutputSender of the library",
    configurations={
        "default": {"chunk_s": 1.0, "buffer_s": 15.0, "beam_size": 5},
        "greedy": {"chunk_s": 1.0, "buffer_s": 15.0, "beam_size": 1},
    },
    command=_command,
    connect=_connect,
    reader=one_by_one(OutputReader),
    piped=True,
)

"""whisper-streaming of the index: a rework, by others, of ufal's LocalAgreement over faster-whisper.

*Committed*: what it outputs; it shows nothing before. Its processor takes audio from a receiver and ends when
none has come for a while, when it puts out what it held back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.peers.peer import Peer, piped_command, piped_link
from benchmarks.peers.transcripts import Said, one_by_one, words_of


class OutputReader:
    """``final`` are words that are out."""

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `StepReader.read`."""
        return Said(words_of(message["final"])) if "final" in message else None


WHISPER_STREAMING: Final = Peer(
    name="whisper-streaming",
    package="whisper-streaming",
    environment="whisper-streaming",
    protocol="AudioReceiver and OutputSender of the library",
    configurations={
        "default": {"chunk_s": 1.0, "buffer_s": 15.0, "beam_size": 5},
        "greedy": {"chunk_s": 1.0, "buffer_s": 15.0, "beam_size": 1},
    },
    command=piped_command("feed_whisper_streaming.py"),
    connect=piped_link,
    reader=one_by_one(OutputReader),
    piped=True,
)

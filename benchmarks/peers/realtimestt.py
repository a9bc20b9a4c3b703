"""RealtimeSTT: detects utterances, shows a text of the open one again and again, decodes it whole at its end.

*Committed*: the text of an utterance (``recorder.text()``). *Shown*: ``on_realtime_transcription_update`` of
the open one. It has no server in its documented form for applications: audio goes through ``feed_audio``. An
utterance ends after its own silence, so silence is fed behind the recording, in real time, until it is idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.peers.peer import Peer, piped_command, piped_link
from benchmarks.peers.transcripts import Said, one_by_one, words_of


class UtteranceReader:
    """``shown`` is the newest utterance whole, ``final`` a closed one; a slow one has several open."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, ...]] = {}
        self._closed = 0

    def read(self, message: Mapping[str, Any]) -> Said | None:
        """See `StepReader.read`."""
        number = message.get("utterance", 0)
        committed: tuple[str, ...] = ()
        if "final" in message:
            self._closed = number
            self._open = {key: words for key, words in self._open.items() if key > number}
            committed = words_of(message["final"])
        elif "shown" in message and number > self._closed:
            self._open[number] = words_of(message["shown"])
        else:
            return None
        return Said(committed, tuple(word for key in sorted(self._open) for word in self._open[key]))


REALTIMESTT: Final = Peer(
    name="RealtimeSTT",
    package="RealtimeSTT",
    environment="realtimestt",
    protocol="feed_audio of the library",
    configurations={"default": {}, "sensitive": {"silero_sensitivity": 0.7, "webrtc_sensitivity": 1}},
    command=piped_command("feed_realtimestt.py"),
    connect=piped_link,
    reader=one_by_one(UtteranceReader),
    piped=True,
)

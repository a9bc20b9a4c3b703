"""Writes down what happens in one session, as the events that `rtstt_lab.records` folds into tables."""

from __future__ import annotations

from typing import Any

from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.protocol import messages
from rtstt_lab.protocol.blocks import split_block
from rtstt_lab.protocol.events import (
    AckReceived,
    AlertCleared,
    AlertRaised,
    BlockReceived,
    ChunksLost,
    ClientEvent,
    ErrorReceived,
    FinalReceived,
    MetricsReceived,
    PartialReceived,
    Resumed,
    SendBlock,
    StateChanged,
)


class SessionRecorder:
    """Gathers a session's events; all ``now`` are seconds of one monotonic clock.

    Attributes:
        began_s: when the first chunk's audio began: 0 of the record's clock; ``None`` before it.
    """

    def __init__(self) -> None:
        self.began_s: float | None = None
        self._events: list[dict[str, Any]] = []
        self._next_seq = 0
        self._committed_seq = 0
        self._lost: set[int] = set()

    def captured(self, seq: int, chunk: AudioChunk, *, began_s: float, audio_s: float, now: float) -> None:
        """A chunk was numbered.

        Args:
            seq: its number.
            chunk: itself.
            began_s: when its audio began.
            audio_s: the same on the audio clock.
            now: this moment.
        """
        if self.began_s is None:
            self.began_s = began_s
        self._note(
            "chunk",
            now,
            seq=seq,
            stream=chunk.stream,
            bytes=len(chunk.payload),
            audio_s=audio_s,
            duration_s=chunk.duration_ms / 1000,
            captured_s=began_s,
        )

    def sent(self, frame: str | bytes, now: float) -> None:
        """A frame was handed to the socket; only audio is of interest."""
        if isinstance(frame, bytes):
            self._sent(messages.split_audio(frame)[0], now)

    def control(self, action: str, now: float) -> None:
        """A button was pressed."""
        self._note("control", now, name=action)

    def observe(self, now: float, event: ClientEvent) -> None:
        """The session told of something."""
        match event:
            case PartialReceived(view) | FinalReceived(view):
                self._view(view, now)
            case StateChanged(shown, link, phase, mode):
                self._note("state", now, shown=shown, link=link, phase=phase, mode=mode)
            case AlertRaised(name, value):
                self._note("alert", now, name=name, value=value)
            case AlertCleared(name, value):
                self._note("alert", now, name=f"{name}_cleared", value=value)
            case ErrorReceived(error):
                self._note("error", now, name=error.code)
            case MetricsReceived(metrics):
                self._note("resources", now, **_resources(metrics))
            case _:
                self._transfer(now, event)

    def _transfer(self, now: float, event: ClientEvent) -> None:
        """What becomes of chunks."""
        match event:
            case AckReceived(ack) | BlockReceived(receipt=messages.BlockReceipt(ack=ack)):
                self._progress(ack.next_seq, ack.committed_seq, now)
            case Resumed(next_seq=next_seq):
                self._progress(next_seq, 0, now)
            case SendBlock(body=body):
                for record in split_block(body):
                    if isinstance(record, tuple):
                        self._sent(record[0], now)
            case ChunksLost(first, last, reason):
                self._lost |= set(range(first, last + 1))
                self._note("lost", now, first=first, last=last, reason=reason)

    def events(self) -> list[dict[str, Any]]:
        """Everything so far, times counted from the beginning of the first chunk's audio."""
        origin_s = self.began_s or 0.0
        shifted = []
        for event in self._events:
            moved = event | {"at_s": event["at_s"] - origin_s}
            if "captured_s" in event:
                moved["captured_s"] = event["captured_s"] - origin_s
            shifted.append(moved)
        return shifted

    def _sent(self, header: messages.AudioHeader, now: float) -> None:
        if not header.lost and not header.header:
            self._note("sent", now, seq=header.seq)

    def _view(self, view: messages.TranscriptionPartial | messages.TranscriptionFinal, now: float) -> None:
        fields: dict[str, Any] = {
            "segment": view.segment,
            "audio_end_s": view.audio_end_ms / 1000,
            "words": [(w.text, w.start_ms / 1000, w.end_ms / 1000, w.probability) for w in view.words],
        }
        if isinstance(view, messages.TranscriptionPartial):
            self._note("partial", now, revision=view.revision, committed=view.committed, **fields)
        else:
            self._note("final", now, **fields)

    def _progress(self, next_seq: int, committed_seq: int, now: float) -> None:
        for seq in range(self._next_seq, next_seq):
            if seq not in self._lost:
                self._note("accepted", now, seq=seq)
        self._next_seq = max(self._next_seq, next_seq)
        if committed_seq > self._committed_seq:
            self._note("committed", now, seq=committed_seq)
            self._committed_seq = committed_seq

    def _note(self, event: str, now: float, **fields: Any) -> None:
        self._events.append({"event": event, "at_s": now, **fields})


def _resources(metrics: messages.Metrics) -> dict[str, Any]:
    """Columns of the table ``resources``."""
    quality = metrics.quality
    return {
        "audio_s": metrics.audio_s,
        "heard_s": metrics.heard_s,
        "settled_s": metrics.settled_s,
        "queue_s": metrics.queue_ms / 1000,
        "decode_s": metrics.decode_ms / 1000,
        "cpu_percent": metrics.cpu_percent,
        "process_cpu_s": metrics.process_cpu_s,
        "rss_mb": metrics.rss_mb,
        "ram_available_mb": metrics.ram_available_mb,
        "gpu_percent": metrics.gpu_percent,
        "chunks_per_s": metrics.chunks_per_s,
        "confidence": metrics.confidence,
        "level_dbfs": quality.level_dbfs if quality else None,
        "peak_dbfs": quality.peak_dbfs if quality else None,
        "clipped_ratio": quality.clipped_ratio if quality else None,
        "noise_dbfs": quality.noise_dbfs if quality else None,
    }

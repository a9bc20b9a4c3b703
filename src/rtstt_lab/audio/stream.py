"""Chunks as a recorder cuts them, into samples on one audio clock; only here do holes become silence.

Raw PCM is exact by its sample count. Containers (WebM, Ogg, fragmented MP4) are not aligned to chunks: their
audio comes out late, damage may end a decoder without a word, and only their presentation times tell how long
a hole was.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import numpy as np

from rtstt_lab.audio.containers import header_may_begin, header_point, restart_point
from rtstt_lab.audio.reader import Block, ContainerReader
from rtstt_lab.audio.timeline import LONGEST_GAP_S, Timeline
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.types import SAMPLE_RATE_HZ, AudioFormat, Samples

_GAP_S: Final = {"webm": 0.05, "ogg": 0.01, "mp4": 0.01}
"""A smaller step between packets is jitter: WebM's times are those of capture, in whole milliseconds."""
_PATIENCE_CHUNKS: Final = 3
_MAX_HEADER_BYTES: Final = 1 << 20
_SILENT_S: Final = 8.0
"""Bytes that come for so long and give no audio: no page or fragment of a recorder is as long."""
_LONGEST_END_S: Final = 3_600.0
_LEAST_LOSS_S: Final = 0.1
_HOPELESS_BYTES: Final = 1 << 18
"""So much without any audio coming out is no recording, whatever its clock says."""


class StreamDecoder:
    """Decodes one stream of chunks: one recorder instance, one container header. To be closed.

    Args:
        format: what the chunks are made of.
        first_payload: the stream's first chunk, for a decoder that takes up in the middle, at a chunk that
            was `restartable`.
        begin_s: the container's time that its first sample lies at.
    """

    def __init__(
        self,
        format: AudioFormat,  # noqa: A002 - the field's word
        *,
        first_payload: bytes = b"",
        begin_s: float = 0.0,
    ) -> None:
        self._decoder: _Pcm | _Container = (
            _Pcm() if format.container == "pcm" else _Container(format.container, first_payload, begin_s)
        )

    @property
    def samples(self) -> int:
        """How many samples came out so far, silence for holes included."""
        return self._decoder.samples

    @property
    def consumed_bytes(self) -> int:
        """Of all bytes fed: the audio of everything before this offset has come out."""
        return self._decoder.consumed_bytes

    @property
    def restartable(self) -> bool:
        """A fresh decoder could take the stream up here.

        One of PCM behind the last chunk fed; one of a container within it, given the stream's first chunk.
        """
        return self._decoder.restartable

    @property
    def clock_s(self) -> float | None:
        """The container's time at the end of what has come out; ``None`` if it has none, or none yet."""
        return self._decoder.clock_s

    def feed(self, payload: bytes, *, captured_end_s: float | None = None) -> Samples:
        """Decodes the next chunk.

        Args:
            payload: its bytes.
            captured_end_s: when its audio ended, on the recorder's clock: no hole can be longer than the time
                passed.

        Returns:
            The samples that came out, shape ``(n,)``, 16 kHz mono; possibly none, possibly some of earlier
            chunks.

        Raises:
            AudioDecodeError: nothing can be decoded from this chunk on. The same chunk fed again is tried
                with a fresh decoder; audio that had already come out is not repeated.
        """
        return self._decoder.feed(payload, captured_end_s)

    @property
    def lost_s(self) -> float:
        """How much audio came in, was taken and never decoded; it is silence."""
        return self._decoder.lost_s

    def hole(self, duration_s: float) -> Samples:
        """Stands in for a chunk that will never come.

        Returns:
            Its silence, shape ``(n,)``; of a container none yet: it is put where the next audio's time shows
            the gap.
        """
        return self._decoder.hole(duration_s)

    def finish(self) -> Samples:
        """Ends the stream and returns what was still inside; more must not be fed."""
        return self._decoder.finish()

    def close(self) -> None:
        """Frees the decoder and ends its thread; what was inside is dropped."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def silence(duration_s: float) -> Samples:
    """Zeros, shape ``(n,)``, of the nearest whole number of samples."""
    return np.zeros(max(0, round(duration_s * SAMPLE_RATE_HZ)), np.float32)


class _Pcm:
    """Signed 16-bit little-endian, 16 kHz mono."""

    clock_s = None

    def __init__(self) -> None:
        self.samples = 0
        self.consumed_bytes = 0
        self.lost_s = 0.0
        self._half = b""

    @property
    def restartable(self) -> bool:
        return not self._half

    def feed(self, payload: bytes, _captured_end_s: float | None) -> Samples:
        data = self._half + payload
        whole = len(data) & ~1
        self._half = data[whole:]
        self.consumed_bytes += len(payload)
        self.samples += whole // 2
        return np.frombuffer(data, "<i2", count=whole // 2).astype(np.float32) / np.float32(32768)

    def hole(self, duration_s: float) -> Samples:
        self._half = b""
        gap = silence(duration_s)
        self.samples += len(gap)
        return gap

    def finish(self) -> Samples:
        return silence(0)

    def close(self) -> None:
        """Holds nothing."""


class _Container:
    """Keeps the header, a watch over the reader, and the time line."""

    def __init__(self, container: str, first_payload: bytes, begin_s: float) -> None:
        self.samples = 0
        self.consumed_bytes = 0
        self.restartable = False
        self._container = container
        self._reader: ContainerReader | None = None
        self._reader_offset = 0
        self._fed_bytes = 0
        self._header = bytearray(first_payload[: restart_point(container, first_payload)])
        self._header_whole = self._header_at_once = bool(first_payload)
        self._first_bytes = 0
        self._kept = bytearray()
        self._fruitless = 0
        self.lost_s = 0.0
        self._heard_until_s = self._fed_until_s = self._opened_at_s = 0.0
        self._reopened = False
        self._silence_s = LONGEST_GAP_S
        self._ready: list[Samples] = []
        self._timeline = Timeline(_GAP_S[container])
        if first_payload:
            self._timeline.begin(begin_s)

    @property
    def clock_s(self) -> float | None:
        return self._timeline.next_s

    def feed(self, payload: bytes, captured_end_s: float | None) -> Samples:
        self._timeline.bound(captured_end_s, self.samples)
        self._silence_s = LONGEST_GAP_S
        first = self._fed_bytes == 0
        if first:
            self._first_bytes = len(payload)
            self._heard_until_s = self._opened_at_s = captured_end_s or 0.0
        if not self._header_whole:
            self._begin(payload, self._fed_bytes)
            self._header_at_once = self._header_whole and len(self._header) <= self._first_bytes
        elif self._reader is None:
            self._reopen(payload, self._fed_bytes)
        else:
            self._place(self._reader.push(payload))
            self._watch(payload, captured_end_s)
        if self._reader and self._reader.ended:
            reason = self._reader.failure
            self._stop_reader()
            raise AudioDecodeError("audio_payload", reason=str(reason or "ended")[:120])
        if self._reader is None and self._header_whole:
            raise AudioDecodeError("audio_payload", reason="no audio")
        if self._reader is None and not self._header:
            raise AudioDecodeError("audio_headless")
        somewhere = self._header_at_once and restart_point(self._container, payload) is not None
        self.restartable = first or somewhere
        self._fed_bytes += len(payload)
        self._fed_until_s = captured_end_s or 0.0
        return self._take()

    def hole(self, duration_s: float) -> Samples:
        self._timeline.owed_s += duration_s
        return silence(0)

    def finish(self) -> Samples:
        if self._reader:
            self._place(self._reader.close())
            self._reader = None
        if self._fruitless >= _PATIENCE_CHUNKS:
            self._write_off()
        self._emit(silence(min(self._timeline.owed_s, _LONGEST_END_S)))
        self._timeline.owed_s = 0.0
        self.consumed_bytes = self._fed_bytes
        return self._take()

    def close(self) -> None:
        self._stop_reader()
        self._ready.clear()
        self._kept.clear()

    def _begin(self, data: bytes, data_offset: int) -> None:
        """Opens when the header is whole: libavformat parses MP4's with small steps back."""
        self._header += data
        if not header_may_begin(self._container, self._header) or len(self._header) > _MAX_HEADER_BYTES:
            self._header.clear()
            return
        end = restart_point(self._container, self._header)
        if end is not None:
            first_audio = bytes(self._header[end:])
            del self._header[end:]
            self._header_whole = True
            self._open(first_audio, data_offset + len(data) - len(first_audio))

    def _watch(self, payload: bytes, captured_end_s: float | None) -> None:
        """Damage can silence a demuxer for good: three chunks without audio, though there was some.

        It is opened again from what it was silent over, once; silent again, it is given up, and what was fed
        since is lost.
        """
        if self._fruitless == 0:
            self._kept.clear()
            self._reopened = False
            self._heard_until_s = self._opened_at_s = captured_end_s or 0.0
            return
        self._kept += payload
        if self._fruitless < _PATIENCE_CHUNKS:
            return
        start = restart_point(self._container, self._kept)
        # A page or fragment may be longer than three chunks; a healthy demuxer has given its audio when the
        # next begins.
        again = start is not None and restart_point(self._container, self._kept, start + 1) is not None
        silent_s = (captured_end_s or 0.0) - self._opened_at_s
        hopeless = silent_s > _SILENT_S or len(self._kept) > _HOPELESS_BYTES
        if not again and not hopeless:
            return
        if self._reopened or start is None:
            self._stop_reader()
            self._write_off()
            return
        self._opened_at_s = captured_end_s or 0.0
        self._reopen(bytes(self._kept), self._fed_bytes + len(payload) - len(self._kept))

    def _write_off(self) -> None:
        """The chunks since the last audio gave none: their time is owed."""
        lost_s = min(max(0.0, self._fed_until_s - self._heard_until_s), LONGEST_GAP_S)
        self.lost_s += lost_s
        self._timeline.owed_s += lost_s
        self._fruitless, self._reopened = 0, False
        self._heard_until_s = self._opened_at_s = self._fed_until_s
        self._kept.clear()

    def _reopen(self, data: bytes, data_offset: int) -> None:
        """A fresh reader: from a new header in ``data``, or with the known one from a place to start."""
        self._stop_reader()
        self._kept.clear()
        self._reopened = self._fed_bytes > 0
        anew = header_point(self._container, data)
        if anew is not None:
            self._header.clear()
            self._header_whole = self._header_at_once = False
            self._timeline.reopened(same_clock=False)
            self._begin(data[anew:], data_offset + anew)
            return
        start = restart_point(self._container, data)
        if start is not None:
            self._timeline.reopened(same_clock=True)
            self._open(data[start:], data_offset + start)

    def _open(self, audio: bytes, audio_offset: int) -> None:
        self._reader = ContainerReader(self._container)
        self._reader_offset = audio_offset - len(self._header)
        self._place(self._reader.push(self._header + audio))

    def _stop_reader(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None

    def _place(self, blocks: list[Block]) -> None:
        self._fruitless = 0 if blocks else self._fruitless + 1
        for block in blocks:
            owed_s = self._timeline.owed_s
            gap_s = self._timeline.gap_before(block, self.samples)
            if gap_s is not None:
                if self._reopened and gap_s - owed_s > _LEAST_LOSS_S:
                    self.lost_s += gap_s - owed_s
                gap_s = min(gap_s, self._silence_s)
                self._silence_s -= max(0.0, gap_s)
                self._emit(silence(gap_s))
                self._emit(block.samples[round(max(0.0, -gap_s) * SAMPLE_RATE_HZ) :])
        if blocks:
            consumed = self._reader_offset + blocks[-1].end_byte
            self.consumed_bytes = max(self.consumed_bytes, consumed)

    def _emit(self, samples: Samples) -> None:
        self.samples += len(samples)
        self._ready.append(samples)

    def _take(self) -> Samples:
        ready, self._ready = self._ready, []
        return np.concatenate(ready) if ready else silence(0)

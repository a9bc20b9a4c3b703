"""A container decoded while it is still being recorded: libav pulls its bytes, recorders push theirs.

PyAV reads from an object whose ``read`` may block, so each open container has one thread. The hand-over is
exact: `push` returns when libav has taken every byte and asks for more, so what it returns does not depend on
how threads were timed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

_MAX_PUSH_S: Final = 120.0
"""A payload that decodes into more is a bomb: Opus can say 120 ms in one byte."""
_PATIENCE_S: Final = 20.0
"""A payload decodes in milliseconds; whoever takes longer than this, also on a machine under load, hangs."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one packet decoded into.

    Attributes:
        samples: shape ``(n,)``, 16 kHz mono float32; the resampler holds back less than 1 ms of it.
        start_s: its presentation time in the container; ``None`` if it has none.
        duration_s: of the packet's own samples, before resampling.
        end_byte: everything before this offset has been decoded by now.
    """

    samples: Samples
    start_s: float | None
    duration_s: float
    end_byte: int


class ContainerReader:
    """One open container. Not to be used from several threads at once.

    Args:
        container: libavformat's name of the format; without it the first audio would come out two chunks
            late.
        patience_s: a call into libav that takes longer has hung: its thread, which nothing can end, is left
            to itself, and reads no more if it ever returns.
    """

    def __init__(self, container: str, *, patience_s: float = _PATIENCE_S) -> None:
        self._container = container
        self._patience_s = patience_s
        self._handover = threading.Condition()
        self._input = bytearray()
        self._starving = False
        self._closing = False
        self._ended = False
        self._returned = False
        self._failure: Exception | None = None
        self._blocks: list[Block] = []
        self._decoded_s = 0.0
        self._end_byte = 0
        self._resampler: tuple[object, AudioResampler] | None = None
        self._thread = threading.Thread(target=self._run, name="rtstt-audio-decoder", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Nothing more will come out of it, whatever is pushed."""
        return self._ended

    @property
    def failure(self) -> Exception | None:
        """What ended it, if that was an error."""
        return self._failure

    def push(self, payload: bytes | bytearray) -> list[Block]:
        """Hands bytes over and returns what they decoded into; what libav keeps comes with a later call."""
        with self._handover:
            self._input += payload
            self._decoded_s = 0.0
            self._starving = False
            self._handover.notify_all()
            if not self._handover.wait_for(
                lambda: self._ended or (self._starving and not self._input), self._patience_s
            ):
                self._ended = self._closing = True
                self._input.clear()
                self._failure = AudioDecodeError("audio_stuck", limit_s=self._patience_s)
            return self._take()

    def close(self) -> list[Block]:
        """Tells libav that the recording is over, ends the thread, and returns what was still inside."""
        with self._handover:
            self._closing = True
            self._handover.notify_all()
            hangs = self._ended and self._thread.is_alive() and not self._returned
        self._thread.join(0.0 if hangs else self._patience_s)
        return self._take()

    def read(self, size: int) -> bytes:
        """For libav, on the decoding thread: blocks until there are bytes, or the recording is over."""
        with self._handover:
            while not self._input and not self._closing:
                self._starving = True
                self._handover.notify_all()
                self._handover.wait()
            data = bytes(self._input[:size])
            del self._input[:size]
            return data

    def _take(self) -> list[Block]:
        blocks, self._blocks = self._blocks, []
        return blocks

    def _run(self) -> None:
        try:
            self._decode()
        except Exception as error:  # noqa: BLE001 - whatever a damaged container raises ends this reader only
            self._failure = self._failure or error
        finally:
            with self._handover:
                self._ended = self._returned = True
                self._handover.notify_all()

    def _decode(self) -> None:
        with av.open(self, mode="r", format=self._container) as source:
            if not source.streams.audio:
                raise AudioDecodeError("audio_no_stream")
            for packet in source.demux(source.streams.audio[0]):
                self._decode_packet(packet)
        if self._resampler:
            rest = [frame.to_ndarray()[0] for frame in self._resampler[1].resample(None)]
            self._emit(rest, None, 0.0)

    def _decode_packet(self, packet: Packet[AudioStream]) -> None:
        if packet.pos is not None:
            # An Ogg packet knows only where its page begins; the others lie where they say.
            size = 0 if self._container == "ogg" else packet.size
            self._end_byte = max(self._end_byte, packet.pos + size)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return  # one damaged packet; the next one's time shows what is missing
        for frame in frames:
            assert isinstance(frame, AudioFrame)  # noqa: S101 - only audio packets come here
            duration_s = frame.samples / frame.sample_rate
            self._decoded_s += duration_s
            if self._decoded_s > _MAX_PUSH_S:
                raise AudioDecodeError("audio_bomb", limit_s=_MAX_PUSH_S)
            self._emit(self._resample(frame), frame.time, duration_s)

    def _resample(self, frame: AudioFrame) -> list[Samples]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or self._resampler[0] != kind:
            self._resampler = kind, AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        return [part.to_ndarray()[0] for part in self._resampler[1].resample(frame)]

    def _emit(self, parts: list[Samples], start_s: float | None, duration_s: float) -> None:
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        with self._handover:
            self._blocks.append(Block(samples, start_s, duration_s, self._end_byte))

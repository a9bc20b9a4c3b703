"""The server's intake of audio: checks, order, holes, limits, and its half of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from rtstt_lab.errors import (
    AudioFormatError,
    ChunkTooLargeError,
    LimitError,
    RtsttError,
    SequenceError,
)
from rtstt_lab.protocol.events import ChunkAccepted, HoleDeclared, LossReason
from rtstt_lab.protocol.messages import MAX_DURATION_MS, AudioHeader, Limits, Received, check_payload
from rtstt_lab.protocol.timing import TokenBucket
from rtstt_lab.protocol.windows import ReceiveWindow
from rtstt_lab.types import SAMPLE_RATE_HZ, AudioFormat

_MAX_AHEAD: Final = 256
_MAX_AHEAD_BYTES: Final = 16 * 2**20
_OVERDRAFT_MS: Final = 5_000
"""Chunks on their way while the credit shrank are taken up to here."""
_PCM_BYTES_PER_MS: Final = 2 * SAMPLE_RATE_HZ // 1000
_MOST_BYTES_PER_MS: Final = 384
"""Stereo at 48 kHz in 32-bit samples: no recorder gives more."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    header: AudioHeader
    payload: bytes
    hole: LossReason | None


class Intake:
    """Takes chunks in any order, gives them out in theirs.

    Args:
        limits: of the session.
        gap_wait_s: how long a missing chunk is waited for while later ones are here.

    Attributes:
        credit_ms: how much more audio may come; shrinks with each chunk, set anew by the engine.
        audio_ms: how much audio lies below `next_seq`, holes included.
        next_stream: the first recorder number not yet used.
    """

    def __init__(self, limits: Limits, gap_wait_s: float) -> None:
        self.credit_ms = limits.credit_ms
        self.audio_ms = 0
        self.next_stream = 0
        self._limits = limits
        self._gap_wait_s = gap_wait_s
        self._window: ReceiveWindow[_Arrival] = ReceiveWindow(_MAX_AHEAD, _MAX_AHEAD_BYTES)
        self._accepted = self._duplicate = self._rejected = self._lost = 0
        self._format: AudioFormat | None = None
        self._previous: AudioHeader | None = None
        self._bucket: TokenBucket | None = None
        self._gap_from: tuple[int, float] | None = None

    @property
    def next_seq(self) -> int:
        """The first chunk not yet given out."""
        return self._window.next_seq

    @property
    def received(self) -> Received:
        """The ledger's half."""
        return Received(self._accepted, self._duplicate, self._rejected, self._lost)

    def missing(self) -> tuple[int, ...]:
        """What to ask for again."""
        return self._window.missing()

    def link_opened(self, held: int, now: float) -> None:
        """A client is there.

        Args:
            held: how many chunks it holds: they may come at once (rule 8).
            now: the time.
        """
        rate = self._limits.max_chunks_per_s
        self._bucket = TokenBucket(rate, 2 * rate, now)
        self._bucket.grant(min(held, rate * self._limits.max_session_s), now)
        self._gap_from = None
        self._watch_gap(now)

    def link_lost(self) -> None:
        """Nobody is there: gaps are not waited for."""
        self._bucket = self._gap_from = None

    def take(self, header: AudioHeader, payload: bytes, now: float, *, ended: bool) -> RtsttError | None:
        """Takes one frame.

        Args:
            header: of the frame.
            payload: of the frame.
            now: of its arrival.
            ended: the session takes no more.

        Returns:
            What is wrong with it, if anything; whether it is asked for again shows in `missing`.
        """
        if self._window.known(header.seq):
            self._duplicate += 1
            return None
        hole: LossReason | None = "given_up" if header.lost else None
        try:
            if ended:
                raise SequenceError("chunk_after_stop", seq=header.seq)
            if not header.lost:
                self._check_limits(header, now)
                check_payload(header, payload, self._limits.max_chunk_bytes)
        except ChunkTooLargeError as error:
            problem: RtsttError | None = error
            hole = "too_large"
        except RtsttError as error:
            self._rejected += 1
            if not ended:
                self._window.want(header.seq)
            return error
        else:
            problem = None
        kept = b"" if hole else payload
        if not self._window.offer(header.seq, _Arrival(header, kept, hole), len(kept)):
            self._rejected += 1
            return SequenceError("sequence_beyond", seq=header.seq, next_seq=self.next_seq)
        self._watch_gap(now)
        return problem

    def count_unreadable(self) -> None:
        """A binary frame came whose header cannot be read."""
        self._rejected += 1

    def deliver(self) -> ChunkAccepted | HoleDeclared | None:
        """The next chunk in order, if it is here."""
        arrival = self._window.pop()
        if arrival is None:
            return None
        stream_format = self._format_of(arrival.header)
        header = _truthful(arrival.header, stream_format, len(arrival.payload))
        self.audio_ms += header.duration_ms
        self._previous = header
        if arrival.hole or stream_format is None:
            self._rejected += 1
            self._lost += 1
            return HoleDeclared(header.seq, header.stream, header.duration_ms, arrival.hole or "unreadable")
        self._accepted += 1
        self.credit_ms -= header.duration_ms
        return ChunkAccepted(header, arrival.payload, stream_format)

    def gap_deadline(self) -> float | None:
        """Until when the present gap is waited for."""
        return self._gap_from[1] + self._gap_wait_s if self._gap_from else None

    def give_up_gap(self, now: float) -> Iterator[HoleDeclared]:
        """Turns the present gap into holes, which share the time between their neighbours' captures."""
        gap, after = self._window.gap, self._window.after_gap
        if gap is None or after is None:
            return
        count = gap[1] - gap[0]
        duration_ms = self._duration_between(after.header) // count
        for _ in range(count):
            self._lost += 1
            self.audio_ms += duration_ms
            yield HoleDeclared(self._window.skip(), self.next_stream - 1, duration_ms, "not_received")
        self._watch_gap(now)

    @property
    def has_gap(self) -> bool:
        """Whether later chunks wait for missing ones."""
        return self._window.gap is not None

    def _check_limits(self, header: AudioHeader, now: float) -> None:
        if self._bucket is not None and not self._bucket.take(now):
            wait_s = self._bucket.ready_at() - now
            raise LimitError("limit_chunk_rate", retry_after_s=wait_s, limit=self._limits.max_chunks_per_s)
        if self.credit_ms <= -_OVERDRAFT_MS:
            raise LimitError("over_credit", retry_after_s=1.0, seq=header.seq)

    def _format_of(self, header: AudioHeader) -> AudioFormat | None:
        """The format of the chunk's recorder; ``None`` if that was never told, is not accepted or is over."""
        if header.stream >= self.next_stream:
            self.next_stream = header.stream + 1
            self._format = None
        if self._format is None and header.mime and header.stream == self.next_stream - 1:
            with suppress(AudioFormatError):
                self._format = AudioFormat.from_mime(header.mime)
        return self._format if header.stream == self.next_stream - 1 else None

    def _duration_between(self, after: AudioHeader) -> int:
        before = self._previous
        if before is None:
            return min(after.captured_ms, MAX_DURATION_MS)
        return min(max(0, after.captured_ms - before.captured_ms - before.duration_ms), MAX_DURATION_MS)

    def _watch_gap(self, now: float) -> None:
        gap = self._window.gap
        if gap is None or self._bucket is None:
            self._gap_from = None
        elif self._gap_from is None or self._gap_from[0] != gap[0]:
            self._gap_from = (gap[0], now)


def _truthful(header: AudioHeader, stream_format: AudioFormat | None, size: int) -> AudioHeader:
    """The header, its duration no less than its bytes must hold: credit and length are counted in it."""
    pcm = stream_format is not None and stream_format.container == "pcm"
    least_ms = size // (_PCM_BYTES_PER_MS if pcm else _MOST_BYTES_PER_MS)
    return header if header.duration_ms >= least_ms else msgspec.structs.replace(header, duration_ms=least_ms)

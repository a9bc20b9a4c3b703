"""The server's intake of audio: checks, order, holes, limits, and its half of the ledger."""

from __future__ import annotations

from collections import deque
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
from rtstt_lab.protocol.messages import (
    MAX_DURATION_MS,
    MAX_MISSING,
    AudioHeader,
    Limits,
    Received,
    check_payload,
)
from rtstt_lab.protocol.server_state import IntakeState
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
        state: what it goes on from.
        header_seq: the first chunk of the recorder that goes on, whose header is wanted before.

    Attributes:
        credit_ms: how much more audio may come; shrinks with each chunk, set anew by the engine.
        audio_ms: how much audio lies below `next_seq`, holes included.
        next_stream: the first recorder number not yet used.
        header_seq: the chunk whose header is wanted.
    """

    def __init__(
        self,
        limits: Limits,
        gap_wait_s: float,
        state: IntakeState | None = None,
        header_seq: int | None = None,
    ) -> None:
        state = state or IntakeState()
        self.credit_ms = limits.credit_ms
        self.audio_ms = state.audio_ms
        self.next_stream = state.stream + 1
        self.header_seq = header_seq
        self._limits = limits
        self._gap_wait_s = gap_wait_s
        self._window: ReceiveWindow[_Arrival] = ReceiveWindow(_MAX_AHEAD, _MAX_AHEAD_BYTES, state.next_seq)
        received = state.received
        self._accepted, self._duplicate = received.accepted, received.duplicate
        self._rejected, self._lost = received.rejected, received.lost
        self._format = AudioFormat.from_mime(state.mime) if state.mime else None
        self._first_seq = state.first_seq
        self._captured_ms = state.captured_ms
        self._first_payload = b""
        self._disposed_holes = dict(state.holes)
        self._below = deque([state])
        self._holes: deque[tuple[int, int]] = deque(state.holes)
        self._bucket: TokenBucket | None = None
        self._gap_from: tuple[int, float] | None = None
        self._held_from = 0

    @property
    def next_seq(self) -> int:
        """The first chunk not yet given out."""
        return self._window.next_seq

    @property
    def received(self) -> Received:
        """The ledger's half."""
        return Received(self._accepted, self._duplicate, self._rejected, self._lost)

    def missing(self) -> tuple[int, ...]:
        """What to ask for again: chunks, and the one with the header that they need."""
        missing = self._window.missing()
        if self.header_seq is None or not self._waits_for_header:
            return missing
        return (self.header_seq, *missing)[:MAX_MISSING]

    def below(self, seq: int, committed_seq: int) -> IntakeState:
        """What lies below a chunk that is not beyond `next_seq`; asked for with growing numbers.

        Args:
            seq: where a fresh decoder starts.
            committed_seq: holes below this are disposed of.
        """
        while self._below[0].next_seq < seq:
            self._below.popleft()
        while self._holes and self._holes[0][0] < seq:
            self._holes.popleft()
        state = self._below[0]
        return msgspec.structs.replace(
            state,
            received=msgspec.structs.replace(
                state.received, duplicate=self._duplicate, rejected=self._rejected
            ),
            holes=tuple(hole for hole in self._holes if hole[0] < committed_seq),
        )

    def link_opened(self, held: int, held_from: int, now: float) -> None:
        """A client is there.

        Args:
            held: how many chunks it holds: they may come at once (rule 8).
            held_from: the first of them: what is missing before is not waited for.
            now: the time.
        """
        rate = self._limits.max_chunks_per_s
        self._bucket = TokenBucket(rate, 2 * rate, now)
        self._bucket.grant(min(held, rate * self._limits.max_session_s), now)
        self._gap_from, self._held_from = None, held_from
        self._watch_gap(now)

    def block_came(self, chunks: int, now: float) -> None:
        """So many chunks came by another way: they were held, and may come at once (rule 8)."""
        if self._bucket is not None:
            self._bucket.grant(chunks, now)

    def link_lost(self) -> None:
        """Nobody is there: gaps are not waited for, but for those that blocks leave."""
        self._bucket = None

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
        if header.header or self._window.known(header.seq):
            return self._take_again(header, payload, now)
        given_up = header.lost or header.seq in self._disposed_holes
        hole: LossReason | None = "given_up" if given_up else None
        try:
            if ended:
                raise SequenceError("chunk_after_stop", seq=header.seq)
            self._check_rate(now)
            if not given_up:
                self._check(header, payload)
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
        """The next chunk in order, if it is here, and the header that it needs."""
        if self._waits_for_header or (arrival := self._window.pop()) is None:
            return None
        stream_format = self._format_of(arrival.header)
        header = _truthful(arrival.header, stream_format, len(arrival.payload))
        if arrival.hole or stream_format is None:
            self._rejected += 1
            duration_ms = self._disposed_holes.pop(header.seq, header.duration_ms)
            self._pass(duration_ms, header.captured_ms + header.duration_ms, lost=True)
            return HoleDeclared(header.seq, header.stream, duration_ms, arrival.hole or "unreadable")
        self._pass(header.duration_ms, header.captured_ms + header.duration_ms)
        self.credit_ms -= header.duration_ms
        first_payload, self._first_payload = self._first_payload, b""
        return ChunkAccepted(header, arrival.payload, stream_format, first_payload)

    def gap_deadline(self) -> float | None:
        """Until when the present gap is waited for, if a client is there."""
        if self._bucket is None or self._gap_from is None:
            return None
        gap = None if self._waits_for_header else self._window.gap
        unheld = gap is not None and gap[1] <= self._held_from
        return self._gap_from[1] + (0.0 if unheld else self._gap_wait_s)

    def gap_overdue(self, now: float) -> bool:
        """Whether there has been the present gap for so long as one is waited for."""
        return self._gap_from is not None and now >= self._gap_from[1] + self._gap_wait_s

    def give_up_gap(self, now: float) -> Iterator[HoleDeclared]:
        """Turns the present gap into holes, which share the time between their neighbours' captures.

        A header that does not come is not waited for any longer: what needs it will not decode.
        """
        if self._waits_for_header:
            self.header_seq = None
        gap, after = self._window.gap, self._window.after_gap
        if gap is not None and after is not None:
            count = gap[1] - gap[0]
            duration_ms = self._duration_between(after.header) // count
            for _ in range(count):
                seq = self._window.skip()
                self._pass(duration_ms, self._captured_ms + duration_ms, lost=True)
                yield HoleDeclared(seq, self.next_stream - 1, duration_ms, "not_received")
        self._watch_gap(now)

    def skip_disposed(self, before_seq: int, disposed_ms: int, now: float) -> Iterator[HoleDeclared]:
        """Passes over chunks that nobody will send again: what was said in them is known.

        Args:
            before_seq: the first that is not disposed of.
            disposed_ms: of audio in those; what begins in the chunk after them makes that one pass, too.
            now: the time.
        """
        count = max(before_seq - self.next_seq, 1 if disposed_ms else 0)
        for left in range(count, 0, -1):
            duration_ms = disposed_ms // left
            disposed_ms -= duration_ms
            seq = self.next_seq
            if self._window.pop() is None:
                self._window.skip()
            self._pass(duration_ms, self._captured_ms + duration_ms)
            yield HoleDeclared(seq, self.next_stream - 1, duration_ms, "disposed")
        self._watch_gap(now)

    def give_up_before(self, seq: int) -> Iterator[HoleDeclared]:
        """Turns what is missing below a chunk into holes of no length: nobody can say how long it was."""
        while self.next_seq < seq and self._window.next is None:
            missing = self._window.skip()
            self._pass(0, self._captured_ms, lost=True)
            yield HoleDeclared(missing, self.next_stream - 1, 0, "not_received")

    def waiting_ms(self, before_seq: int) -> list[int]:
        """How long the chunks are that wait behind the gap, of those below this one."""
        return [arrival.header.duration_ms for arrival in self._window.waiting_below(before_seq)]

    @property
    def gap_end(self) -> int | None:
        """The first chunk that waits for missing ones, if any does."""
        return self._window.gap[1] if self._window.gap else None

    @property
    def _waits_for_header(self) -> bool:
        """Whether the next chunk is here, and the header that it needs is not."""
        following = None if self.header_seq is None else self._window.next
        return following is not None and following.header.stream < self.next_stream

    def _take_again(self, header: AudioHeader, payload: bytes, now: float) -> RtsttError | None:
        """What was taken before brings nothing new, but for the container's header that is wanted again."""
        if header.header and header.seq == self.header_seq:
            try:
                check_payload(header, payload, self._limits.max_chunk_bytes)
            except RtsttError as error:
                self._rejected += 1
                return error
            self._first_payload, self.header_seq = payload, None
            self._watch_gap(now)
        self._duplicate += 1
        return None

    def _pass(self, duration_ms: int, captured_ms: int, *, lost: bool = False) -> None:
        """The chunk that was the next one lies behind now."""
        self.audio_ms += duration_ms
        self._captured_ms = captured_ms
        self._lost += lost
        self._accepted += not lost
        if lost:
            self._holes.append((self.next_seq - 1, duration_ms))
        self._below.append(
            IntakeState(
                next_seq=self.next_seq,
                received=self.received,
                audio_ms=self.audio_ms,
                captured_ms=captured_ms,
                stream=self.next_stream - 1,
                mime=self._format.mime if self._format else "",
                first_seq=self._first_seq,
            )
        )

    def _check_rate(self, now: float) -> None:
        """Of chunks that are given up, too: each is kept until it is disposed of, and told."""
        if self._bucket is not None and not self._bucket.take(now):
            wait_s = self._bucket.ready_at() - now
            raise LimitError("limit_chunk_rate", retry_after_s=wait_s, limit=self._limits.max_chunks_per_s)

    def _check(self, header: AudioHeader, payload: bytes) -> None:
        if self.credit_ms <= -_OVERDRAFT_MS:
            raise LimitError("over_credit", retry_after_s=1.0, seq=header.seq)
        check_payload(header, payload, self._limits.max_chunk_bytes)

    def _format_of(self, header: AudioHeader) -> AudioFormat | None:
        """The format of the chunk's recorder; ``None`` if that was never told, is not accepted or is over."""
        if header.stream >= self.next_stream:
            self.next_stream = header.stream + 1
            self._format, self._first_seq = None, header.seq
            self._first_payload, self.header_seq = b"", None
        if self._format is None and header.mime and header.stream == self.next_stream - 1:
            with suppress(AudioFormatError):
                self._format = AudioFormat.from_mime(header.mime)
        return self._format if header.stream == self.next_stream - 1 else None

    def _duration_between(self, after: AudioHeader) -> int:
        return min(max(0, after.captured_ms - self._captured_ms), MAX_DURATION_MS)

    def _watch_gap(self, now: float) -> None:
        gap = self._window.gap
        missing = self.header_seq if self._waits_for_header else gap[0] if gap else None
        if missing is None:
            self._gap_from = None
        elif self._gap_from is None or self._gap_from[0] != missing:
            self._gap_from = (missing, now)


def _truthful(header: AudioHeader, stream_format: AudioFormat | None, size: int) -> AudioHeader:
    """The header, its duration no less than its bytes must hold: credit and length are counted in it."""
    pcm = stream_format is not None and stream_format.container == "pcm"
    least_ms = size // (_PCM_BYTES_PER_MS if pcm else _MOST_BYTES_PER_MS)
    return header if header.duration_ms >= least_ms else msgspec.structs.replace(header, duration_ms=least_ms)

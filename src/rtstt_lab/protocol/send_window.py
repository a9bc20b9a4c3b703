"""The chunks that the client still holds: what is sent next, again, or freed.

The link keeps order: what is answered was sent after everything answered before. So the client knows,
without timers, which of the chunks asked for are already on their way again.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from rtstt_lab.protocol.messages import MAX_CHUNK_BYTES, Received
from rtstt_lab.protocol.windows import Ledger

_RECORD_BYTES: Final = 300
"""Of a block's record beside its payload, roughly."""


@dataclass(slots=True)
class HeldChunk:
    """One captured chunk at the client; without `payload` it is only remembered as given up.

    Attributes:
        first: of its recorder: it begins with the container's header.
        told: that it is given up was said.
    """

    seq: int
    stream: int
    payload: bytes | None
    duration_ms: int
    captured_ms: int
    crc32: int
    end_ms: int
    first: bool
    told: bool

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.payload or b"")


class SendWindow:
    """The client's chunks, from their capture until the server has disposed of them for good.

    Beside them it keeps the first chunk of each recorder of which it holds another, and of the present one:
    a server that was restarted needs the container's header again.

    Args:
        max_buffer_bytes: of payloads held; what would overflow it is lost, copies of received chunks go
            first.
        max_in_flight: transmissions without an answer.
    """

    def __init__(self, max_buffer_bytes: int, max_in_flight: int) -> None:
        self.captured = 0
        self.next_seq = 0
        self.audio_ms = 0
        self.credit_ms = 0
        self.max_chunk_bytes = MAX_CHUNK_BYTES
        self._max_buffer_bytes = max_buffer_bytes
        self._max_in_flight = max_in_flight
        self._chunks: dict[int, HeldChunk] = {}
        self._firsts: dict[int, HeldChunk] = {}
        self._first = 0
        self._copies_from = 0
        self._bytes = 0
        self._cursor = 0
        self._again: set[int] = set()
        self._header: HeldChunk | None = None
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_ms = 0
        self._highest = 0
        self._end: int | None = None

    def append(
        self, payload: bytes, *, duration_ms: int, captured_ms: int, stream: int
    ) -> tuple[int, Literal["too_large", "buffer_full"] | None]:
        """Numbers a chunk and keeps it.

        Returns:
            Its number, and why it is lost already if it is.
        """
        reason: Literal["too_large", "buffer_full"] | None = None
        if len(payload) > self.max_chunk_bytes:
            reason = "too_large"
        elif not self._make_room(len(payload)):
            reason = "buffer_full"
        seq, self.captured = self.captured, self.captured + 1
        self.audio_ms += duration_ms
        kept = None if reason else payload
        crc32 = 0 if kept is None else binascii.crc32(kept)
        first = stream > max(self._firsts, default=-1)
        chunk = HeldChunk(
            seq, stream, kept, duration_ms, captured_ms, crc32, self.audio_ms, first, told=kept is None
        )
        self._bytes += chunk.size
        self._chunks[seq] = chunk
        if first:
            self._firsts[stream] = chunk
            self._forget_recorders()
        return seq, reason

    def to_send(self) -> HeldChunk | None:
        """The chunk to send next, if the server's credit and the bound on unanswered ones allow any.

        A header that is asked for goes first (`is_header`).
        """
        if len(self._in_flight) >= self._max_in_flight:
            return None
        if self._header is not None:
            return self._header
        chunk = self._wanted()
        if chunk is None:
            return None
        fits = self._in_flight_ms + chunk.duration_ms <= self.credit_ms
        alone = not self._in_flight and self.credit_ms > 0
        return chunk if fits or alone or chunk.payload is None else None

    def is_header(self, chunk: HeldChunk) -> bool:
        """Whether it goes out for its container's header only."""
        return chunk is self._header

    def sent(self, chunk: HeldChunk) -> None:
        """`chunk`, as `to_send` gave it, was handed to the link."""
        if self.is_header(chunk):
            self._header = None
            self._in_flight.append((chunk.seq, 0))
            return
        self._again.discard(chunk.seq)
        self._cursor = max(self._cursor, chunk.seq + 1)
        self._in_flight.append((chunk.seq, chunk.duration_ms))
        self._in_flight_ms += chunk.duration_ms

    def block(self, max_bytes: int) -> list[HeldChunk]:
        """What goes into one block, in order: a header that is asked for (`is_header`), then what is wanted.

        Args:
            max_bytes: of payloads; the first chunk may be longer.
        """
        chunks = [] if self._header is None else [self._header]
        size, left_ms = sum(chunk.size for chunk in chunks), self.credit_ms
        for seq in range(self.next_seq, self._limit):
            chunk = self._chunks[seq]
            size += chunk.size + _RECORD_BYTES
            begun = seq > self.next_seq
            fits = chunk.payload is None or (left_ms > 0 and (not begun or chunk.duration_ms <= left_ms))
            if not fits or (begun and size > max_bytes):
                break
            chunks.append(chunk)
            left_ms -= chunk.duration_ms if chunk.payload is not None else 0
        return chunks

    def answered(self, seq: int | None, missing: Iterable[int]) -> None:
        """The frame with `seq` was answered: all sent before it are known to have arrived or not.

        Args:
            seq: the number that the answer echoes; ``None`` if it answers none.
            missing: what is asked for again; sent again unless it is on its way already.
        """
        if any(sent == seq for sent, _ in self._in_flight):
            while self._pop_in_flight() != seq:
                pass
        on_the_way = {sent for sent, _ in self._in_flight}
        for wanted in missing:
            if wanted in on_the_way:
                continue
            if self.next_seq <= wanted < min(self._cursor, self._limit):
                self._again.add(wanted)
            elif wanted < self.next_seq:
                self._ask_header(wanted)

    def ask_oldest(self) -> None:
        """Sends the first chunk again that the server is not known to have: its answer is long overdue."""
        if self.next_seq < self._cursor:
            self._again.add(self.next_seq)

    @property
    def unanswered(self) -> bool:
        """Whether something was sent that the server is not known to have received."""
        return self.next_seq < min(self._cursor, self._limit)

    def advance(self, next_seq: int, committed_seq: int, resume_seq: int) -> None:
        """The server's marks: what is received, disposed of, and not needed by a fresh decoder."""
        self.next_seq = min(max(self.next_seq, next_seq), self.captured)
        self._cursor = max(self._cursor, self.next_seq)
        self._highest = max(self._highest, self.next_seq)
        self._again = {seq for seq in self._again if seq >= self.next_seq}
        while self._first < min(committed_seq, resume_seq, self.next_seq):
            chunk = self._chunks.pop(self._first)
            self._bytes -= 0 if chunk.first else chunk.size
            self._first += 1
        self._copies_from = max(self._copies_from, self._first)
        self._forget_recorders()

    def link_lost(self) -> None:
        """What was on its way is cut."""
        self._in_flight.clear()
        self._in_flight_ms = 0
        self._again.clear()

    def synchronise(
        self, next_seq: int, header_seq: int | None = None, end_seq: int | None = None
    ) -> list[int]:
        """Starts again at the chunk that the server wants; it may want earlier ones than before.

        Args:
            next_seq: that chunk.
            header_seq: the first chunk of its recorder, if the container's header is needed again.
            end_seq: the chunks below were received before, told or not, of a session that has stopped.

        Returns:
            The chunks it wants that were given up since the server had received them, each told once.
        """
        self.link_lost()
        self._header = None
        self.next_seq = self._cursor = min(max(next_seq, self._first), self.captured)
        self._highest = max(self._highest, self.next_seq, end_seq or 0)
        if header_seq is not None and header_seq < self.next_seq:
            self._ask_header(header_seq)
        untold = [chunk for chunk in self._beyond() if chunk.payload is None and not chunk.told]
        for chunk in untold:
            chunk.told = True
        return [chunk.seq for chunk in untold]

    def rebase(self, first_seq: int, first_stream: int, audio_ms: int) -> None:
        """Moves chunks that were numbered before the server told where its own numbering stands."""
        moved = {}
        for chunk in self._chunks.values():
            chunk.seq += first_seq
            chunk.stream += first_stream
            chunk.end_ms += audio_ms
            moved[chunk.seq] = chunk
        self._chunks = moved
        self._firsts = {chunk.stream: chunk for chunk in self._firsts.values()}
        self.captured += first_seq
        self.audio_ms += audio_ms
        self._first = self._copies_from = self._cursor = self.next_seq = self._highest = first_seq

    def close(self, end: int = 0) -> tuple[int, int] | None:
        """The session takes no more than it has received, or than lies below ``end``: the rest is lost.

        What it has received is kept until it is disposed of: a server that is restarted may want it again.

        Returns:
            First and last chunk lost by this, if any.
        """
        end = max(end, self._highest)
        self._end = end if self._end is None else min(end, self._end)
        self._again = {seq for seq in self._again if seq < self._end}
        return self._give_up(self._end)

    def free(self) -> tuple[int, int] | None:
        """The session is over: nothing is needed any more.

        Returns:
            First and last chunk lost by this, if any.
        """
        self._end = self.next_seq
        self._again.clear()
        lost = self._give_up(self.next_seq)
        for chunk in (*self._chunks.values(), *self._firsts.values()):
            chunk.payload = None
        self._header = None
        self._bytes = 0
        return lost

    @property
    def bounds(self) -> tuple[int, int] | None:
        """First and last chunk in the buffer."""
        return (self._first, self.captured - 1) if self._first < self.captured else None

    @property
    def waiting(self) -> list[HeldChunk]:
        """Chunks with audio that the server has not received, as far as is known."""
        return [chunk for chunk in self._beyond() if chunk.payload is not None]

    @property
    def given_up(self) -> int:
        """Chunks lost at the client that the server does not know of yet."""
        return sum(chunk.payload is None for chunk in self._beyond())

    def ledger(self, transmitted: int, received: Received) -> Ledger:
        """Both halves of the ledger.

        Args:
            transmitted: audio frames handed to links so far.
            received: what the server last told.
        """
        return Ledger(
            captured=self.captured,
            transmitted=transmitted,
            accepted=received.accepted,
            duplicate=received.duplicate,
            rejected=received.rejected,
            cut=transmitted - received.accepted - received.duplicate - received.rejected,
            lost=received.lost + self.given_up,
            held=len(self.waiting),
        )

    def _beyond(self) -> list[HeldChunk]:
        return [self._chunks[seq] for seq in range(self.next_seq, self.captured)]

    def _wanted(self) -> HeldChunk | None:
        if self._again:
            return self._chunks[min(self._again)]
        return self._chunks[self._cursor] if self._cursor < self._limit else None

    @property
    def _limit(self) -> int:
        """Chunks from here on are not sent."""
        return self.captured if self._end is None else min(self._end, self.captured)

    def _give_up(self, from_seq: int) -> tuple[int, int] | None:
        lost = [chunk for chunk in self._beyond() if chunk.seq >= from_seq and chunk.payload is not None]
        for chunk in lost:
            self._bytes -= chunk.size
            chunk.payload, chunk.told = None, True
        return (lost[0].seq, lost[-1].seq) if lost else None

    def _ask_header(self, seq: int) -> None:
        """One that is not here any more goes out as lost, so that nobody waits for it."""
        found = next((chunk for chunk in self._firsts.values() if chunk.seq == seq), None)
        if found is None and self.next_seq < self.captured:
            stream = self._chunks[self.next_seq].stream
            found = HeldChunk(seq, stream, None, 0, 0, 0, 0, first=True, told=True)
        self._header = found

    def _forget_recorders(self) -> None:
        """Lets go of the first chunks of recorders that are past."""
        held = self._chunks.get(self._first)
        needed = held.stream if held else max(self._firsts, default=0)
        for stream in [stream for stream in self._firsts if stream < needed]:
            chunk = self._firsts.pop(stream)
            self._bytes -= chunk.size
            if chunk is self._header:
                self._header = None

    def _pop_in_flight(self) -> int:
        seq, duration_ms = self._in_flight.popleft()
        self._in_flight_ms -= duration_ms
        return seq

    def _make_room(self, size: int) -> bool:
        while self._bytes + size > self._max_buffer_bytes and self._copies_from < self.next_seq:
            copy = self._chunks[self._copies_from]
            if not copy.first:
                self._bytes -= copy.size
                copy.payload = None
            self._copies_from += 1
        return self._bytes + size <= self._max_buffer_bytes

"""The chunks on both ends: what the client still holds, what the server waits for, and their ledger.

The link keeps order: what is answered was sent after everything answered before. So the client knows,
without timers, which of the chunks asked for are already on their way again.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from rtstt_lab.protocol.messages import MAX_CHUNK_BYTES, MAX_MISSING, Received

Item = TypeVar("Item")


@dataclass(slots=True)
class HeldChunk:
    """One captured chunk at the client; without `payload` it is only remembered as given up."""

    seq: int
    stream: int
    payload: bytes | None
    duration_ms: int
    captured_ms: int
    crc32: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every transmission and every chunk (metrics.md, "chunk ledger").

    Transmissions: ``transmitted = accepted + duplicate + rejected + cut``. Chunks: ``captured = accepted +
        lost + held``.
    `transmitted`, `captured` and `held` are the client's own counts; `accepted`, `duplicate`, `rejected` and
    the holes in `lost` are the server's, as it last told them. While a link is open, `cut` includes what is
    on its way.
    """

    captured: int
    transmitted: int
    accepted: int
    duplicate: int
    rejected: int
    cut: int
    lost: int
    held: int

    def balanced(self) -> bool:
        """Whether both sums come out exactly, and nothing was counted that was never sent."""
        return (
            self.transmitted == self.accepted + self.duplicate + self.rejected + self.cut
            and self.captured == self.accepted + self.lost + self.held
            and self.cut >= 0
        )


class SendWindow:
    """The client's chunks, from their capture until the server has disposed of them for good.

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
        self._first = 0
        self._copies_from = 0
        self._bytes = 0
        self._cursor = 0
        self._again: set[int] = set()
        self._in_flight: deque[HeldChunk] = deque()
        self._in_flight_ms = 0
        self._closed = False

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
        self._bytes += len(kept or b"")
        self._chunks[seq] = HeldChunk(seq, stream, kept, duration_ms, captured_ms, crc32, self.audio_ms)
        return seq, reason

    def to_send(self) -> HeldChunk | None:
        """The chunk to send next, if the server's credit and the bound on unanswered ones allow any."""
        chunk = self._wanted()
        if chunk is None or self._closed or len(self._in_flight) >= self._max_in_flight:
            return None
        fits = self._in_flight_ms + chunk.duration_ms <= self.credit_ms
        alone = not self._in_flight and self.credit_ms > 0
        return chunk if fits or alone or chunk.payload is None else None

    def sent(self, chunk: HeldChunk) -> None:
        """`chunk` was handed to the link."""
        self._again.discard(chunk.seq)
        self._cursor = max(self._cursor, chunk.seq + 1)
        self._in_flight.append(chunk)
        self._in_flight_ms += chunk.duration_ms

    def answered(self, seq: int | None, missing: Iterable[int]) -> None:
        """The frame with `seq` was answered: all sent before it are known to have arrived or not.

        Args:
            seq: the number that the answer echoes; ``None`` if it answers none.
            missing: what is asked for again; sent again unless it is on its way already.
        """
        if any(chunk.seq == seq for chunk in self._in_flight):
            while self._pop_in_flight() != seq:
                pass
        on_the_way = {chunk.seq for chunk in self._in_flight}
        self._again |= {seq for seq in missing if seq < self._cursor} - on_the_way

    def ask_oldest(self) -> None:
        """Sends the first chunk again that the server is not known to have: its answer is long overdue."""
        if self.next_seq < self._cursor:
            self._again.add(self.next_seq)

    @property
    def unanswered(self) -> bool:
        """Whether something was sent that the server is not known to have received."""
        return self.next_seq < self._cursor and not self._closed

    def advance(self, next_seq: int, committed_seq: int, resume_seq: int) -> None:
        """The server's marks: what is received, disposed of, and not needed by a fresh decoder."""
        self.next_seq = min(max(self.next_seq, next_seq), self.captured)
        self._cursor = max(self._cursor, self.next_seq)
        self._again = {seq for seq in self._again if seq >= self.next_seq}
        while self._first < min(committed_seq, resume_seq, self.next_seq):
            self._bytes -= len(self._chunks.pop(self._first).payload or b"")
            self._first += 1
        self._copies_from = max(self._copies_from, self._first)

    def link_lost(self) -> None:
        """What was on its way is cut."""
        self._in_flight.clear()
        self._in_flight_ms = 0
        self._again.clear()

    def synchronise(self, next_seq: int) -> list[int]:
        """Starts again at the chunk that the server wants; it may want earlier ones than before.

        Returns:
            The chunks it wants that were given up since the server had received them.
        """
        before = self.next_seq
        self.next_seq = self._cursor = min(max(next_seq, self._first), self.captured)
        return [seq for seq in range(self.next_seq, before) if self._chunks[seq].payload is None]

    def rebase(self, first_seq: int, first_stream: int, audio_ms: int) -> None:
        """Moves chunks that were numbered before the server told where its own numbering stands."""
        moved = {}
        for chunk in self._chunks.values():
            chunk.seq += first_seq
            chunk.stream += first_stream
            chunk.end_ms += audio_ms
            moved[chunk.seq] = chunk
        self._chunks = moved
        self.captured += first_seq
        self.audio_ms += audio_ms
        self._first = self._copies_from = self._cursor = self.next_seq = first_seq

    def close(self) -> tuple[int, int] | None:
        """The session takes no more: what it has not received is lost, the rest is freed.

        Returns:
            First and last chunk lost by this, if any.
        """
        lost = [seq for seq in range(self.next_seq, self.captured) if self._chunks[seq].payload is not None]
        for chunk in self._chunks.values():
            chunk.payload = None
        self._bytes = 0
        self._closed = True
        return (lost[0], lost[-1]) if lost else None

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
        return self._chunks[self._cursor] if self._cursor < self.captured else None

    def _pop_in_flight(self) -> int:
        chunk = self._in_flight.popleft()
        self._in_flight_ms -= chunk.duration_ms
        return chunk.seq

    def _make_room(self, size: int) -> bool:
        while self._bytes + size > self._max_buffer_bytes and self._copies_from < self.next_seq:
            copy = self._chunks[self._copies_from]
            self._bytes -= len(copy.payload or b"")
            copy.payload = None
            self._copies_from += 1
        return self._bytes + size <= self._max_buffer_bytes


class ReceiveWindow(Generic[Item]):
    """The server's side: each number once, in order; what comes early waits, within bounds.

    Args:
        max_ahead: how far beyond `next_seq` a chunk may lie.
        max_bytes: of the chunks that wait.
        next_seq: the first one that is wanted.
    """

    def __init__(self, max_ahead: int, max_bytes: int, next_seq: int = 0) -> None:
        self.next_seq = next_seq
        self._max_ahead = max_ahead
        self._max_bytes = max_bytes
        self._ahead: dict[int, tuple[Item, int]] = {}
        self._bytes = 0
        self._wanted: set[int] = set()

    def known(self, seq: int) -> bool:
        """Whether this number was received, or given up, before."""
        return seq < self.next_seq or seq in self._ahead

    def offer(self, seq: int, item: Item, size: int) -> bool:
        """Takes a chunk that is not known.

        Returns:
            False if it lies too far ahead; it will be asked for when its turn comes.
        """
        next_in_order = seq == self.next_seq
        if seq >= self.next_seq + self._max_ahead or (
            self._bytes + size > self._max_bytes and not next_in_order
        ):
            self.want(seq)
            return False
        self._ahead[seq] = (item, size)
        self._bytes += size
        self._wanted.discard(seq)
        return True

    def want(self, seq: int) -> None:
        """Remembers a chunk that came but could not be used, so that it is asked for."""
        if not self.known(seq) and (len(self._wanted) < MAX_MISSING or seq < max(self._wanted)):
            self._wanted.add(seq)
            if len(self._wanted) > MAX_MISSING:
                self._wanted.remove(max(self._wanted))

    @property
    def next(self) -> Item | None:
        """The next chunk in order, if it is here; it stays."""
        return self._ahead[self.next_seq][0] if self.next_seq in self._ahead else None

    def pop(self) -> Item | None:
        """The next chunk in order, if it is here."""
        if self.next_seq not in self._ahead:
            return None
        item, size = self._ahead.pop(self.next_seq)
        self._bytes -= size
        self._step()
        return item

    def skip(self) -> int:
        """Gives the next chunk up.

        Returns:
            Its number.
        """
        self._step()
        return self.next_seq - 1

    @property
    def gap(self) -> tuple[int, int] | None:
        """First missing chunk and the first one that waits behind it."""
        return (self.next_seq, min(self._ahead)) if self._ahead and self.next_seq not in self._ahead else None

    @property
    def after_gap(self) -> Item | None:
        """The first chunk that waits behind the gap."""
        return self._ahead[self.gap[1]][0] if self.gap else None

    def missing(self) -> tuple[int, ...]:
        """What to ask for again, lowest first, at most `MAX_MISSING`."""
        wanted = {seq for seq in self._wanted if seq < self.next_seq + self._max_ahead}
        if self._ahead:
            gaps = (seq for seq in range(self.next_seq, max(self._ahead)) if seq not in self._ahead)
            wanted.update(gaps)
        return tuple(sorted(wanted)[:MAX_MISSING])

    def _step(self) -> None:
        self._wanted.discard(self.next_seq)
        self.next_seq += 1

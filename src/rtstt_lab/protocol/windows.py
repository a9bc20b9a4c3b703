"""What the server waits for, chunk by chunk, and the ledger of both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from rtstt_lab.protocol.messages import MAX_MISSING

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every transmission and every chunk (metrics.md, "chunk ledger").

    Transmissions: ``transmitted = accepted + duplicate + rejected + cut``. Chunks: ``captured = accepted +
        lost + held``.
    `transmitted`, `captured` and `held` are the client's own counts; `accepted`, `duplicate`, `rejected` and
    the holes in `lost` are the server's, as it last told them; a page that was loaded again begins with the
    server's counts. While a link is open, `cut` includes what is on its way.
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

    def waiting_below(self, seq: int) -> list[Item]:
        """What waits behind the gap and has a lower number."""
        return [item for number, (item, _) in self._ahead.items() if number < seq]

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

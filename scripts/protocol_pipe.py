"""One direction of a link in virtual time, which keeps the order and may hurt what is on its way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rtstt_lab.protocol.messages import split_audio


@dataclass
class Pipe:
    """One direction of one link: frames in order, each with the time of its arrival."""

    frames: deque[tuple[float, str | bytes]] = field(default_factory=deque)

    def put(self, frame: str | bytes, arrival: float) -> None:
        """Sends a frame; none overtakes another."""
        self.frames.append((max(arrival, self.frames[-1][0]) if self.frames else arrival, frame))

    def arrival(self) -> float | None:
        """When the next frame arrives."""
        return self.frames[0][0] if self.frames else None

    def damage(self) -> None:
        """One bit of the last chunk is flipped."""
        for index in reversed(range(len(self.frames))):
            at, frame = self.frames[index]
            if isinstance(frame, bytes) and split_audio(frame)[1]:
                self.frames[index] = (at, frame[:-1] + bytes([frame[-1] ^ 1]))
                return

    def drop(self) -> None:
        """The last frame is lost without a trace, if it is a chunk."""
        if self._ends_with_chunk():
            self.frames.pop()

    def repeat(self) -> bool:
        """The last frame comes twice, if it is a chunk; says whether it is."""
        if again := self._ends_with_chunk():
            self.frames.append(self.frames[-1])
        return again

    def _ends_with_chunk(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1][1], bytes)

"""What a fault schedule does to messages: the hook between a session and its socket, on either clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtstt_lab.protocol.messages import split_audio
from rtstt_lab.replay.faults import Corrupted, Dropped, Duplicated, Fault, FaultSchedule, MessageFault

_MOST_CUT_BYTES = 64


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that has been executed, on the schedule's clock.

    Attributes:
        fault: as scheduled.
        began_s: when it began in fact.
        ended_s: when it was over in fact.
    """

    fault: Fault
    began_s: float
    ended_s: float


class Tampering:
    """Turns each frame that a client's session hands over into those that its socket gets.

    Only binary frames, which carry audio, are touched.

    Args:
        schedule: counts from `begin`; before it everything passes.
        seed: of what is corrupted.

    Attributes:
        extra: frames that went out though no session had sent them; a ledger counts them as duplicates of
            nothing.
    """

    def __init__(self, schedule: FaultSchedule, *, seed: int = 0) -> None:
        self.extra = 0
        self._faults = schedule.message_faults()
        self._left = [fault.chunks for fault in self._faults]
        self._rng = np.random.default_rng(seed)
        self._origin_s = math.inf
        self._behind: list[bytes] = []
        self._happened: dict[int, Happened] = {}

    def begin(self, origin_s: float) -> None:
        """The schedule's time 0 on the clock; the first call counts."""
        self._origin_s = min(self._origin_s, origin_s)

    @property
    def happened(self) -> list[Happened]:
        """The faults that met a frame; each from its first frame to its last."""
        return list(self._happened.values())

    def __call__(self, frame: str | bytes, now: float) -> list[str | bytes]:
        """What goes to the socket now, in order.

        Args:
            frame: handed over by the session.
            now: on the clock of `begin`.
        """
        if isinstance(frame, str):
            return [frame]
        behind, self._behind = self._behind, []
        fault = self._fault_of(now - self._origin_s)
        match fault:
            case None:
                passed: list[bytes] = [frame]
            case Corrupted():
                passed = [self._corrupted(frame)]
            case Duplicated():
                self.extra += 1
                passed = [frame, frame]
            case Dropped():
                passed = []
            case _:
                self._behind.append(frame)
                passed = []
        return [*passed, *behind]

    def _fault_of(self, since_s: float) -> MessageFault | None:
        """The earliest fault that goes on now and has not had all its frames."""
        for index, fault in enumerate(self._faults):
            if self._left[index] and fault.covers(since_s):
                self._left[index] -= 1
                first = self._happened.get(index)
                self._happened[index] = Happened(fault, first.began_s if first else since_s, since_s)
                return fault
        return None

    def _corrupted(self, frame: bytes) -> bytes:
        """The protocol's checksum is over the payload, so that is where the damage goes."""
        _, payload = split_audio(frame)
        if not payload:
            return frame
        if self._rng.random() < 0.5:
            return frame[: -int(self._rng.integers(1, min(_MOST_CUT_BYTES, len(payload)) + 1))]
        changed = bytearray(frame)
        changed[-int(self._rng.integers(1, len(payload) + 1))] ^= int(self._rng.integers(1, 256))
        return bytes(changed)

"""Fault schedules: what a link, its messages and its server suffer and when, as frozen data.

Both drivers execute what happens to links (`Channel`, cuts), messages (`replay.tampering`), and ``kill -9``;
a server that stands still needs a real process (`replay.processes`). Times count from the beginning of the
first chunk's audio, on the client's clock; before it all is well. What is to meet the end of a session,
whenever that comes, counts from stop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import numpy as np

from rtstt_lab.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A span of time.

    Attributes:
        at_s: its beginning.
        duration_s: its length; ``inf`` lasts to the end.
    """

    kind: ClassVar[str]

    at_s: float
    duration_s: float

    def __post_init__(self) -> None:
        figures = asdict(self)
        counts = (figures.pop(name, math.inf) for name in ("bytes_per_s", "chunks"))
        positive = min(figures.pop("duration_s"), *counts) > 0
        if not (positive and self.at_s < math.inf and min(figures.values()) >= 0):
            raise UsageError("fault_value", fault=repr(self))

    @property
    def end_s(self) -> float:
        """Its end."""
        return self.at_s + self.duration_s

    def covers(self, at_s: float) -> bool:
        """Whether it is going on; the end is no part of it."""
        return self.at_s <= at_s < self.end_s

    def as_json(self) -> dict[str, Any]:
        """Its kind and its figures."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(_Fault):
    """Connections break at once, and new ones are refused until it is over."""

    kind: ClassVar[str] = "cut"

    def __str__(self) -> str:
        return f"cut {self.duration_s:g} s at {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen(_Fault):
    """Nothing passes and nobody is told; what was sent arrives when it is over, if anybody still waits."""

    kind: ClassVar[str] = "half_open"

    def __str__(self) -> str:
        return f"half-open {self.duration_s:g} s at {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(_Fault):
    """Everything arrives later.

    Attributes:
        delay_s: one way.
        jitter_s: up to so much more, evenly spread; order is kept.
    """

    kind: ClassVar[str] = "delay"

    delay_s: float
    jitter_s: float = 0.0

    def __str__(self) -> str:
        return f"delay {1000 * self.delay_s:g}+{1000 * self.jitter_s:g} ms from {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(_Fault):
    """Bytes trickle.

    Attributes:
        bytes_per_s: each way.
    """

    kind: ClassVar[str] = "bandwidth"

    bytes_per_s: float

    def __str__(self) -> str:
        return f"{self.bytes_per_s:g} B/s from {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFault(_Fault):
    """Happens between the client's session and its socket, to frames of audio handed over in its span.

    Attributes:
        chunks: at most so many frames; repetitions count.
    """

    chunks: int = 1

    def __str__(self) -> str:
        return f"{self.chunks} {self.kind} from {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupted(MessageFault):
    """A byte of the payload is another one, or the payload's end is missing; the header is as it was."""

    kind: ClassVar[str] = "corrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicated(MessageFault):
    """The frame goes out twice."""

    kind: ClassVar[str] = "duplicated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(MessageFault):
    """The frame does not go out."""

    kind: ClassVar[str] = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reordered(MessageFault):
    """The frame goes out behind the next one; if no other follows, not at all."""

    kind: ClassVar[str] = "reordered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFault(_Fault):
    """Happens to the server's process."""

    def __str__(self) -> str:
        return f"{self.kind} {self.duration_s:g} s at {self.at_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigstop(ProcessFault):
    """The process stands still, its sockets open, and goes on when it is over."""

    kind: ClassVar[str] = "sigstop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(ProcessFault):
    """``kill -9``; then a new process is started on the same port, with the same secret and journal.

    ``duration_s`` is from the end of the one to the start of the other, which is not ready at once.
    """

    kind: ClassVar[str] = "kill"


LinkFault: TypeAlias = Cut | HalfOpen | Delay | Bandwidth
Fault: TypeAlias = LinkFault | MessageFault | ProcessFault
_FaultT = TypeVar("_FaultT", bound=_Fault)
_KINDS: Final = {
    each.kind: each
    for each in (
        *(Cut, HalfOpen, Delay, Bandwidth),
        *(Corrupted, Duplicated, Dropped, Reordered),
        *(Sigstop, Kill),
    )
}


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """All faults of one experiment; overlapping delays add up, of overlapping bandwidths the least counts.

    Attributes:
        faults: in the order of time.
        after_stop: of the link; their times count from stop, and until then they do not happen.
    """

    faults: tuple[Fault, ...] = ()
    after_stop: tuple[LinkFault, ...] = ()

    @classmethod
    def of(cls, *faults: Fault, after_stop: Iterable[LinkFault] = ()) -> FaultSchedule:
        """A schedule in the order of time."""
        return cls(_in_order(faults), _in_order(after_stop))

    @classmethod
    def cuts(cls, *spans: tuple[float, float]) -> FaultSchedule:
        """Cuts only, each (beginning, length) in seconds."""
        return cls.of(*(Cut(at_s=at_s, duration_s=duration_s) for at_s, duration_s in spans))

    @classmethod
    def from_json(cls, faults: Iterable[dict[str, Any]]) -> FaultSchedule:
        """From what `as_json` gave.

        Raises:
            UsageError: an unknown kind or an impossible figure.
        """
        made: Fault | None
        known: list[Fault] = []
        after_stop: list[LinkFault] = []
        for fault in faults:
            figures = dict(fault)
            kind = _KINDS.get(str(figures.pop("kind", "")))
            since = figures.pop("since", "start")
            try:
                made = kind(**figures) if kind else None
            except TypeError:
                made = None
            if since == "start" and made is not None:
                known.append(made)
            elif since == "stop" and isinstance(made, LinkFault):
                after_stop.append(made)
            else:
                raise UsageError("fault_value", fault=str(fault))
        return cls.of(*known, after_stop=after_stop)

    def as_json(self) -> list[dict[str, Any]]:
        """Plain objects, for meta.json."""
        after_stop = (fault.as_json() | {"since": "stop"} for fault in self.after_stop)
        return [*(fault.as_json() for fault in self.faults), *after_stop]

    def __str__(self) -> str:
        after_stop = (f"{fault} after stop" for fault in self.after_stop)
        return ", ".join([*map(str, self.faults), *after_stop]) or "clean"

    def stopped(self, at_s: float) -> FaultSchedule:
        """The schedule from stop on, now that it is known when that is.

        Args:
            at_s: stop, on the schedule's clock.
        """
        moved = (replace(fault, at_s=at_s + fault.at_s) for fault in self.after_stop)
        return FaultSchedule.of(*self.faults, *moved)

    def cut_starts(self) -> list[float]:
        """When connections break."""
        return [fault.at_s for fault in self.faults if isinstance(fault, Cut)]

    def message_faults(self) -> list[MessageFault]:
        """What happens to messages."""
        return [fault for fault in self.faults if isinstance(fault, MessageFault)]

    def process_faults(self) -> list[ProcessFault]:
        """What happens to the server's process."""
        return [fault for fault in self.faults if isinstance(fault, ProcessFault)]

    def is_cut(self, at_s: float) -> bool:
        """Whether connections are refused."""
        return any(isinstance(fault, Cut) and fault.covers(at_s) for fault in self.faults)

    def passes_at(self, at_s: float) -> float:
        """``at_s``, or the end of the half-open span (or row of them) that it lies in."""
        for fault in self.faults:
            if isinstance(fault, HalfOpen) and fault.covers(at_s):
                at_s = fault.end_s
        return at_s

    def slowing(self, at_s: float) -> list[LinkFault]:
        """What holds back that which is sent now."""
        return [
            fault
            for fault in self.faults
            if isinstance(fault, HalfOpen | Delay | Bandwidth) and fault.covers(at_s)
        ]

    def delay_s(self, at_s: float, rng: np.random.Generator) -> float:
        """One-way delay of what is sent now."""
        active = [fault for fault in self.faults if isinstance(fault, Delay) and fault.covers(at_s)]
        return sum(fault.delay_s + float(rng.uniform(0, fault.jitter_s)) for fault in active)

    def bytes_per_s(self, at_s: float) -> float:
        """Bandwidth of what is sent now; ``inf`` where nothing bounds it."""
        active = [f.bytes_per_s for f in self.faults if isinstance(f, Bandwidth) and f.covers(at_s)]
        return min(active, default=math.inf)


class Channel:
    """One direction of one connection: tells when what is put in comes out; first in, first out.

    Args:
        schedule: what it suffers.
        rng: source of jitter.
    """

    def __init__(self, schedule: FaultSchedule, rng: np.random.Generator) -> None:
        self._schedule = schedule
        self._rng = rng
        self._free_s = -math.inf
        self._last_s = -math.inf

    def suffer(self, schedule: FaultSchedule) -> None:
        """From now on this is what happens."""
        self._schedule = schedule

    def arrival_s(self, now_s: float, size: int) -> float:
        """When ``size`` bytes that are put in now arrive; never before what was put in earlier.

        Args:
            now_s: on the schedule's clock, not decreasing.
            size: bytes.
        """
        begins_s = self._schedule.passes_at(max(now_s, self._free_s))
        self._free_s = begins_s + size / self._schedule.bytes_per_s(begins_s)
        delayed_s = self._free_s + self._schedule.delay_s(begins_s, self._rng)
        self._last_s = max(self._last_s, self._schedule.passes_at(delayed_s))
        return self._last_s


def _in_order(faults: Iterable[_FaultT]) -> tuple[_FaultT, ...]:
    return tuple(sorted(faults, key=lambda fault: fault.at_s))

"""The waiting both sides do: liveness, backoff, pacing, offences, and the estimate of the other clock.

Nothing here reads a clock: `now` is the caller's monotonic time in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

_ROUNDING: Final = 1e-6


def to_ms(seconds: float) -> int:
    """Seconds as whole milliseconds, halves up (as the browser's twin rounds them), never negative."""
    return max(0, math.floor(seconds * 1000 + 0.5))


def earliest(*deadlines: float | None) -> float | None:
    """The first of the deadlines that are set."""
    return min((deadline for deadline in deadlines if deadline is not None), default=None)


class Liveness:
    """A ping every `ping_s`; `silence_s` without any frame from the other side is a loss."""

    def __init__(self, ping_s: float, silence_s: float, now: float) -> None:
        self._ping_s = ping_s
        self._silence_s = silence_s
        self._ping_at = now + ping_s
        self._lost_at = now + silence_s

    def heard(self, now: float) -> None:
        """A frame came in."""
        self._lost_at = now + self._silence_s

    @property
    def deadline(self) -> float:
        """When `due` has something to say."""
        return min(self._ping_at, self._lost_at)

    def due(self, now: float) -> Literal["ping", "lost"] | None:
        """What is to be done by now; a ping that is due is taken as sent."""
        if now >= self._lost_at:
            return "lost"
        if now >= self._ping_at:
            self._ping_at = now + self._ping_s
            return "ping"
        return None


class Backoff:
    """The retry ladder (L4)."""

    def __init__(self, delays_s: Sequence[float]) -> None:
        self._delays_s = tuple(delays_s)
        self._tried = 0

    @property
    def tried(self) -> int:
        """How many retries were used since the last reset."""
        return self._tried

    def next_s(self) -> float | None:
        """How long to wait before the next attempt; ``None`` when all are used up."""
        if self._tried == len(self._delays_s):
            return None
        self._tried += 1
        return self._delays_s[self._tried - 1]

    def use_up(self) -> None:
        """No further attempt until `reset`."""
        self._tried = len(self._delays_s)

    def reset(self) -> None:
        """The link has proved itself."""
        self._tried = 0


class TokenBucket:
    """At most `rate_per_s` in the long run, `burst` at once; `grant` lets a known burst through (rule 8)."""

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = burst
        self._at = now

    def grant(self, tokens: float, now: float) -> None:
        """Adds to the level, over `burst` if need be."""
        self._refill(now)
        self._level += tokens

    def take(self, now: float) -> bool:
        """Takes one token if there is one."""
        self._refill(now)
        if self._level < 1 - _ROUNDING:
            return False
        self._level -= 1
        return True

    def ready_at(self) -> float:
        """When the next token will be there."""
        return self._at + max(0.0, 1 - self._level) / self._rate_per_s

    def _refill(self, now: float) -> None:
        filled = min(self._burst, self._level + (now - self._at) * self._rate_per_s)
        self._level = max(self._level, filled)
        self._at = now


class Counter:
    """Counts what happened within the last `window_s`; holds at most `limit` times."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=limit)

    def add(self, now: float) -> bool:
        """Counts one more.

        Returns:
            Whether the limit is reached within the window.
        """
        self._times.append(now)
        return self.full(now)

    def full(self, now: float) -> bool:
        """Whether `limit` lie within the last `window_s`."""
        return (free_at := self.free_at()) is not None and now < free_at

    def free_at(self) -> float | None:
        """When it will not be full any more; ``None`` if it is not full."""
        return self._times[0] + self._window_s if len(self._times) == self._times.maxlen else None


class ClockEstimate:
    """Offset of the server's clock against the client's, from the quickest exchange, as NTP does it.

    With client send t1, server receive t2, server send t3, client receive t4:
    offset = ((t2 − t1) + (t3 − t4)) / 2, round trip = (t4 − t1) − (t3 − t2) (RFC 5905, section 8).

    Attributes:
        offset_ms: server's time minus client's; ``None`` before the first exchange.
        round_trip_ms: of the exchange that it was taken from.
    """

    def __init__(self, samples: int = 8) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=samples)
        self.offset_ms: float | None = None
        self.round_trip_ms: int | None = None

    def add(self, sent_ms: int, received_ms: int, answered_ms: int, arrived_ms: int) -> None:
        """One exchange: t1, t2, t3, t4."""
        round_trip_ms = (arrived_ms - sent_ms) - (answered_ms - received_ms)
        self._samples.append((round_trip_ms, ((received_ms - sent_ms) + (answered_ms - arrived_ms)) / 2))
        self.round_trip_ms, self.offset_ms = min(self._samples)

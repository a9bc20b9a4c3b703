"""What a session notices by itself: no audio comes though it records, and work that does not return."""

from __future__ import annotations

from collections.abc import Hashable

from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server import ServerSession


class Watch:
    """Told what happens; says what a person should know.

    Args:
        no_audio_s: without a chunk while recording is worth telling.
        hang_s: so long after it was told as hanging, work is waited for no longer.
    """

    def __init__(self, no_audio_s: float, hang_s: float) -> None:
        self._no_audio_s = no_audio_s
        self._hang_s = hang_s
        self._expected_at: float | None = None
        self._quiet = False
        self._told = False
        self._hanging: dict[Hashable, float] = {}
        self._failed: tuple[int, str] | None = None

    def alerts(self, session: ServerSession, waiting_s: float, now: float) -> list[wire.Alert]:
        """What has begun, or is over, since the last look.

        Args:
            session: that records, or not.
            waiting_s: the backlog: while it is long the client may have been asked to wait with its audio.
            now: the time.
        """
        found = [wire.Alert("hanging", self.hanging)] if self.hanging != self._told else []
        self._told = self.hanging
        recording = session.phase is Phase.RECORDING
        if recording and (session.link is None or waiting_s >= self._no_audio_s):
            self._expected_at = None
            return found
        audio_at = session.audio_at
        self._expected_at = max(self._expected_at or audio_at, audio_at) if recording else None
        quiet = self._expected_at is not None and now >= self._expected_at + self._no_audio_s
        if quiet != self._quiet:
            self._quiet = quiet
            found.append(wire.Alert("no_audio", quiet, self._no_audio_s if quiet else 0.0))
        return found

    def unreadable(self, seq: int, code: str) -> bool:
        """A chunk cannot be decoded; whether that is news: of many in a row for one reason the first is."""
        news = self._failed is None or self._failed[1] != code
        self._failed = (seq, code)
        return news

    def fed(self, seq: int) -> None:
        """A chunk was decoded, or the hole in the place of one that could not be."""
        if self._failed is not None and self._failed[0] != seq:
            self._failed = None

    def hangs(self, work: Hashable, now: float) -> bool:
        """Work has not returned in time; whether that is news."""
        return self._hanging.setdefault(work, now) == now

    def returned(self, work: Hashable) -> None:
        """Work has returned after all."""
        self._hanging.pop(work, None)

    @property
    def hanging(self) -> bool:
        """Whether some work hangs."""
        return bool(self._hanging)

    def given_up(self, now: float) -> bool:
        """Whether work hangs for so long that nothing more can be hoped of it."""
        return any(now >= since + self._hang_s for since in self._hanging.values())

    def deadline(self) -> float | None:
        """When one of these will be so, if nothing happens before."""
        ends = [since + self._hang_s for since in self._hanging.values()]
        if self._expected_at is not None and not self._quiet:
            ends.append(self._expected_at + self._no_audio_s)
        return min(ends, default=None)

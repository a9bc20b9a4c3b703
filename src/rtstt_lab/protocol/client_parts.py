"""What a client's session keeps: buttons not yet applied, numbered events, the text so far, and alerts."""

from __future__ import annotations

from typing import Final

import msgspec

from rtstt_lab.errors import MalformedFrameError
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import AlertCleared, AlertName, AlertRaised, ChunksLost, ClientEvent
from rtstt_lab.protocol.latency import LatencyTracker
from rtstt_lab.protocol.lifecycle import PhaseEvent
from rtstt_lab.protocol.messages import (
    ClientControl,
    ControlAction,
    ServerError,
    Sync,
    TranscriptionFinal,
    TranscriptionPartial,
    encode,
)
from rtstt_lab.protocol.timing import Counter

ACTIONS: Final[dict[PhaseEvent, ControlAction]] = {
    PhaseEvent.START: "start",
    PhaseEvent.PAUSE: "pause",
    PhaseEvent.RESUME: "resume",
    PhaseEvent.STOP: "stop",
}


class PendingControls:
    """Buttons from their pressing until the server has applied them.

    Attributes:
        pending: oldest first.
    """

    def __init__(self) -> None:
        self.pending: list[ClientControl] = []
        self._made = 0
        self._stop: ClientControl | None = None

    @property
    def stopped_at(self) -> int:
        """The chunks below this one came before the stop that the server has applied; 0 if it has not."""
        return self._stop.at_seq if self._stop and self._stop not in self.pending else 0

    def press(self, action: ControlAction, at_seq: int) -> ClientControl:
        """Numbers a button."""
        self._made += 1
        control = ClientControl(action, self._made, at_seq)
        self.pending.append(control)
        self._keep_stop()
        return control

    def take_numbers(self, sync: Sync) -> None:
        """The server's numbering stands elsewhere: moves those pressed before that was known."""
        self._made += sync.controls
        self.pending = [
            msgspec.structs.replace(
                control, n=control.n + sync.controls, at_seq=control.at_seq + sync.next_seq
            )
            for control in self.pending
        ]
        self._keep_stop()

    def applied(self, n: int) -> None:
        """The server has applied those up to ``n``."""
        self.pending = [control for control in self.pending if control.n > n]

    def steps(self) -> list[PhaseEvent]:
        """What they will do to the phase."""
        return [PhaseEvent(control.action) for control in self.pending if control.action != "flush"]

    def frames(self) -> list[str | bytes]:
        """All of them, to be sent again."""
        return [encode(control) for control in self.pending]

    def _keep_stop(self) -> None:
        self._stop = next((control for control in self.pending if control.action == "stop"), None)


class Text:
    """Partials and finals as they stand.

    Args:
        tracker: is told of each result.
    """

    def __init__(self, tracker: LatencyTracker) -> None:
        self.finals: list[TranscriptionFinal] = []
        self.partials: dict[int, TranscriptionPartial] = {}
        self._tracker = tracker

    def show(self, partial: TranscriptionPartial, now: float) -> None:
        """A partial replaces its segment's earlier one."""
        self.partials[partial.segment] = partial
        self._measure(partial, now)

    def settle(self, final: TranscriptionFinal, now: float) -> None:
        """A final closes its segment, and with it those before it."""
        self.finals.append(final)
        self.partials = {k: partial for k, partial in self.partials.items() if k > final.segment}
        self._measure(final, now)

    def _measure(self, result: TranscriptionPartial | TranscriptionFinal, now: float) -> None:
        words_ms = [(word.start_ms, word.end_ms) for word in result.words]
        self._tracker.result(result.audio_end_ms, words_ms, now)


class Alerts:
    """Latency above the limit (A1), and reconnections in a row (A3).

    Args:
        settings: the limits.
        events: where changes are told.
    """

    def __init__(self, settings: ClientSettings, events: list[ClientEvent]) -> None:
        self._settings = settings
        self._events = events
        self._on: set[AlertName] = set()
        self._reconnections = Counter(settings.reconnections_alert, settings.reconnections_window_s)

    def latency(self, latency_s: float) -> None:
        """The latency of this moment: on above the limit, off again below the goal."""
        if latency_s > self._settings.latency_alert_s:
            self._switch("latency", on=True, value=latency_s)
        elif latency_s < self._settings.latency_goal_s:
            self._switch("latency", on=False, value=latency_s)

    def reconnected(self, now: float) -> None:
        """The link came back once more."""
        if self._reconnections.add(now):
            self._switch("reconnections", on=True, value=self._settings.reconnections_alert)

    def deadline(self) -> float | None:
        """When `due` switches an alert off."""
        return self._reconnections.free_at() if "reconnections" in self._on else None

    def due(self, now: float) -> None:
        """Switches off what time has healed."""
        if not self._reconnections.full(now):
            self._switch("reconnections", on=False, value=0)

    def _switch(self, name: AlertName, *, on: bool, value: float) -> None:
        if on and name not in self._on:
            self._on.add(name)
            self._events.append(AlertRaised(name, value))
        elif not on and name in self._on:
            self._on.remove(name)
            self._events.append(AlertCleared(name, value))


def lost_chunks(error: ServerError) -> ChunksLost:
    """What a server's ``chunk_lost`` says.

    Raises:
        MalformedFrameError: it does not say which chunks, or why in a way that is known here.
    """
    try:
        lost = msgspec.convert(error.parameters, ChunksLost)
    except msgspec.ValidationError as problem:
        raise MalformedFrameError("frame_malformed", reason=str(problem)[:200]) from problem
    if lost.last < lost.first:
        raise MalformedFrameError("frame_malformed", reason=f"chunks {lost.first} to {lost.last}")
    return lost

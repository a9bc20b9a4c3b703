"""The session's lifecycle: one table for the link, one for the phase, and what a person is shown of both.

The tables describe one streaming attempt; the session outlives it. When all retries fail, the attempt ends
in Error and the session's *mode* becomes block; a new attempt begins at Connecting on the same session.
Nothing else in the house decides what may follow what: the browser's machine and the diagram in
``docs/lifecycle.md`` are made from these tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Final, TypeVar

from rtstt_lab.errors import LifecycleError


class Link(StrEnum):
    """The connection, as the client sees it."""

    CONNECTING = "connecting"
    OPEN = "open"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class LinkEvent(StrEnum):
    """What can happen to the connection."""

    OPENED = "opened"
    LOST = "lost"
    GAVE_UP = "gave_up"
    CLOSED = "closed"


class Phase(StrEnum):
    """How far the session is, on either side."""

    IDLE = "idle"
    RECORDING = "recording"
    PAUSED = "paused"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"


class PhaseEvent(StrEnum):
    """What can happen to the session. The first four are also the actions of ``client:control``."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    SAVED = "saved"
    FAIL = "fail"


class Shown(StrEnum):
    """The eight states of the owner's diagram (L1)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECORDING = "recording"
    PAUSED = "paused"
    RECONNECTING = "reconnecting"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    ERROR = "error"


class Mode(StrEnum):
    """How audio travels: over the WebSocket, or in blocks over HTTP (R3)."""

    STREAM = "stream"
    BLOCK = "block"


LINK: Final[Mapping[Link, Mapping[LinkEvent, Link]]] = MappingProxyType(
    {
        Link.CONNECTING: {
            LinkEvent.OPENED: Link.OPEN,
            LinkEvent.LOST: Link.CONNECTING,
            LinkEvent.GAVE_UP: Link.CLOSED,
            LinkEvent.CLOSED: Link.CLOSED,
        },
        Link.OPEN: {LinkEvent.LOST: Link.RECONNECTING, LinkEvent.CLOSED: Link.CLOSED},
        Link.RECONNECTING: {
            LinkEvent.OPENED: Link.OPEN,
            LinkEvent.LOST: Link.RECONNECTING,
            LinkEvent.GAVE_UP: Link.CLOSED,
            LinkEvent.CLOSED: Link.CLOSED,
        },
        Link.CLOSED: {},
    }
)

PHASE: Final[Mapping[Phase, Mapping[PhaseEvent, Phase]]] = MappingProxyType(
    {
        Phase.IDLE: {
            PhaseEvent.START: Phase.RECORDING,
            PhaseEvent.STOP: Phase.FINALIZING,
            PhaseEvent.FAIL: Phase.FAILED,
        },
        Phase.RECORDING: {
            PhaseEvent.START: Phase.RECORDING,
            PhaseEvent.RESUME: Phase.RECORDING,
            PhaseEvent.PAUSE: Phase.PAUSED,
            PhaseEvent.STOP: Phase.FINALIZING,
            PhaseEvent.FAIL: Phase.FAILED,
        },
        Phase.PAUSED: {
            PhaseEvent.PAUSE: Phase.PAUSED,
            PhaseEvent.RESUME: Phase.RECORDING,
            PhaseEvent.START: Phase.RECORDING,
            PhaseEvent.STOP: Phase.FINALIZING,
            PhaseEvent.FAIL: Phase.FAILED,
        },
        Phase.FINALIZING: {
            PhaseEvent.STOP: Phase.FINALIZING,
            PhaseEvent.SAVED: Phase.COMPLETED,
            PhaseEvent.FAIL: Phase.FAILED,
        },
        Phase.COMPLETED: {},
        Phase.FAILED: {},
    }
)

RECORDED: Final = frozenset({Phase.IDLE, Phase.RECORDING, Phase.PAUSED})
TERMINAL: Final = frozenset({Phase.COMPLETED, Phase.FAILED})
_ENDING: Final = TERMINAL | {Phase.FINALIZING}

_State = TypeVar("_State", Link, Phase)
_Event = TypeVar("_Event", LinkEvent, PhaseEvent)


def _follow(table: Mapping[_State, Mapping[_Event, _State]], state: _State, event: _Event) -> _State:
    try:
        return table[state][event]
    except KeyError:
        raise LifecycleError("lifecycle", state=state.value, event=event.value) from None


def next_link(link: Link, event: LinkEvent) -> Link:
    """The link after ``event``.

    Raises:
        LifecycleError: for a pair that is not in the table; nothing has changed then.
    """
    return _follow(LINK, link, event)


def next_phase(phase: Phase, event: PhaseEvent) -> Phase:
    """The phase after ``event``.

    Raises:
        LifecycleError: for a pair that is not in the table; nothing has changed then.
    """
    return _follow(PHASE, phase, event)


def shown(link: Link, phase: Phase) -> Shown:
    """What a person sees: the end of the session first, then trouble with the link, then the phase."""
    if phase is Phase.COMPLETED:
        return Shown.COMPLETED
    if phase is Phase.FAILED or link is Link.CLOSED:
        return Shown.ERROR
    if phase is Phase.FINALIZING:
        return Shown.FINALIZING
    if link is Link.CONNECTING:
        return Shown.CONNECTING
    if link is Link.RECONNECTING:
        return Shown.RECONNECTING
    return {Phase.IDLE: Shown.CONNECTED, Phase.RECORDING: Shown.RECORDING, Phase.PAUSED: Shown.PAUSED}[phase]


def reconcile(client: Phase, server: Phase, pending: Iterable[PhaseEvent]) -> Phase:
    """The phase that both sides continue in after a reconnection; defined for every input.

    A session that has ended, or is ending, on either side, is not brought back. Otherwise the server's phase
    is the ground truth and the controls that it has not seen yet are applied to it in order; one that no
    longer fits is dropped.

    Args:
        client: the phase that the client believed in.
        server: the phase that the server reported.
        pending: controls not yet known to be applied, oldest first.
    """
    if client in TERMINAL:
        return client
    if server in _ENDING:
        return server
    if client is Phase.FINALIZING:
        return client
    phase = server
    for event in pending:
        phase = PHASE[phase].get(event, phase)
    return phase


def shown_edges() -> Iterator[tuple[Shown, Shown, str]]:
    """Every change of the shown state that one table step, a reconciliation or a new attempt can make.

    Yields:
        From, to and cause, in no order, possibly repeated; from ≠ to.
    """
    for link, phase in product(Link, Phase):
        here = shown(link, phase)
        for event, link_after in LINK[link].items():
            # A session that opens, or opens again, is in whatever phase it has reached by then.
            phases = _phases_on_opening(phase) if event is LinkEvent.OPENED else {phase}
            for phase_after in phases:
                if (there := shown(link_after, phase_after)) is not here:
                    yield here, there, event.value
        if link is not Link.CLOSED:
            for step, phase_after in PHASE[phase].items():
                if (there := shown(link, phase_after)) is not here:
                    yield here, there, step.value
    yield Shown.ERROR, Shown.CONNECTING, "reconnect"


def _phases_on_opening(phase: Phase) -> set[Phase]:
    return {reconcile(phase, server, ()) for server in Phase}

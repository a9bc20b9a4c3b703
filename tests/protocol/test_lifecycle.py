"""The two tables, what is shown of them, and how two sides agree."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
from tests.protocol.edges import EDGES

from rtstt_lab.errors import LifecycleError
from rtstt_lab.protocol.lifecycle import (
    LINK,
    PHASE,
    TERMINAL,
    Link,
    LinkEvent,
    Phase,
    PhaseEvent,
    Shown,
    next_link,
    next_phase,
    reconcile,
    shown,
    shown_edges,
)


@pytest.mark.requirement("L1")
def test_projected_edges_are_those_of_the_specification():
    """What the tables can show, step by step, is L1's list: no edge less, none more."""
    assert {(here.value, there.value) for here, there, _ in shown_edges()} == EDGES


@pytest.mark.requirement("L1")
@pytest.mark.parametrize(("state", "event"), list(product(Link, LinkEvent)))
def test_link_pairs(state, event):
    """Each pair of link and event is in the table, or is refused."""
    if event in LINK[state]:
        assert next_link(state, event) is LINK[state][event]
    else:
        with pytest.raises(LifecycleError, match=state.value):
            next_link(state, event)


@pytest.mark.requirement("L1", "L6")
@pytest.mark.parametrize(("state", "event"), list(product(Phase, PhaseEvent)))
def test_phase_pairs(state, event):
    """Each pair of phase and event is in the table, or is refused; a repeat leaves the phase as it is."""
    if event in PHASE[state]:
        after = next_phase(state, event)
        assert after is PHASE[state][event]
        if event in PHASE[after]:
            assert next_phase(after, event) is after
    else:
        with pytest.raises(LifecycleError, match=event.value):
            next_phase(state, event)


def test_every_pair_is_shown_as_one_of_eight_states():
    """The joint rule is total; the end of the session goes before trouble with the link."""
    assert {shown(link, phase) for link, phase in product(Link, Phase)} == set(Shown)
    assert all(shown(link, Phase.COMPLETED) is Shown.COMPLETED for link in Link)
    assert all(shown(Link.CLOSED, phase) is Shown.ERROR for phase in set(Phase) - {Phase.COMPLETED})


BUTTONS = (PhaseEvent.START, PhaseEvent.PAUSE, PhaseEvent.RESUME, PhaseEvent.STOP)


@pytest.mark.requirement("L4", "L6")
def test_reconcile_is_total():
    """All pairs of phases, all rows of up to four buttons: an answer, that to which the server comes, too."""
    rows = [row for length in range(5) for row in product(BUTTONS, repeat=length)]
    ending = TERMINAL | {Phase.FINALIZING}
    for client, server, pending in product(Phase, Phase, rows):
        after = reconcile(client, server, pending)
        if client in TERMINAL:
            assert after is client, "an end is never taken back"
        elif server in ending or client is Phase.FINALIZING:
            assert after is (server if server in ending else client)
        else:
            applied = server
            for button in pending:  # as a server applies them: one that no longer fits is passed over
                with suppress(LifecycleError):
                    applied = next_phase(applied, button)
            assert after is applied
        assert reconcile(after, after, ()) is after, "and nothing is left to agree on"


def test_pending_buttons_win_over_a_server_that_has_not_seen_them():
    """Pause pressed while the link was down holds; one that no longer fits is passed over."""
    assert reconcile(Phase.PAUSED, Phase.RECORDING, [PhaseEvent.PAUSE]) is Phase.PAUSED
    assert reconcile(Phase.IDLE, Phase.IDLE, [PhaseEvent.RESUME, PhaseEvent.START]) is Phase.RECORDING
    assert reconcile(Phase.RECORDING, Phase.FINALIZING, [PhaseEvent.PAUSE]) is Phase.FINALIZING

"""Buttons in their order, and what is said so that it cannot be missed."""

from __future__ import annotations

import pytest
from tests.protocol.talk import Talk, talk

from rtstt_lab.errors import AudioDecodeError, LifecycleError, RecognitionError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase, PhaseEvent
from rtstt_lab.types import Final, Partial, Word


@pytest.mark.requirement("L6")
def test_buttons_take_effect_at_their_place_in_the_audio():
    """Whatever comes first over the wire, a button acts between the chunks that it names, once."""
    server = talk()
    server.say(wire.ClientControl("pause", 2, 2))
    server.say(wire.ClientControl("resume", 3, 2))
    server.say(wire.ClientControl("pause", 2, 2))
    server.chunk(1)
    server.chunk(2)
    assert server.session.phase is Phase.RECORDING
    server.chunk(0)
    order = [
        event.action if isinstance(event, ev.ControlApplied) else event.header.seq
        for event in server.events
        if isinstance(event, ev.ControlApplied | ev.ChunkAccepted)
    ]
    assert order == ["start", 0, 1, "pause", "resume", 2]
    assert [status.state for status in server.got(wire.Status)] == ["recording", "paused", "recording"]
    assert server.got(wire.ServerAck)[-1].controls == 3


@pytest.mark.requirement("L1", "L6")
def test_a_button_that_does_not_fit_is_an_error_and_counts_as_done():
    """Resume before start: told, nothing changes, the next button is applied."""
    server = Talk()
    server.open(wire.ClientHello("token-0"))
    server.say(wire.ClientControl("resume", 1, 0))
    server.say(wire.ClientControl("flush", 2, 0))
    server.say(wire.ClientControl("start", 3, 0))
    assert server.codes() == ["lifecycle", "lifecycle"]
    assert (server.session.phase, server.session.controls_applied) == (Phase.RECORDING, 3)


@pytest.mark.requirement("L6")
def test_flush_and_repeats():
    """Flush reaches the engine and changes no phase; a repeated pause does not reach it."""
    server = talk()
    server.chunk(0)
    for n, action in enumerate(("flush", "pause", "pause", "flush"), start=2):
        server.say(wire.ClientControl(action, n, 1))
    applied = [event.action for event in server.events if isinstance(event, ev.ControlApplied)]
    assert applied == ["start", "flush", "pause", "flush"]
    assert server.session.controls_applied == 5


@pytest.mark.requirement("R1", "L6")
def test_a_button_that_is_said_again_waits_no_longer_for_its_audio():
    """A client repeats with each ping what is not applied; that is no new button."""
    server = talk()
    server.chunk(0)
    for now in range(0, 30, 5):
        server.now = float(now)
        server.say(wire.ClientControl("stop", 2, 5))
    server.at(29.9)
    assert server.session.phase is Phase.RECORDING
    server.at(30.1)
    assert server.session.phase is Phase.FINALIZING


@pytest.mark.requirement("R1")
def test_a_stop_whose_audio_never_comes_is_applied_in_the_end():
    """Thirty seconds without a frame of audio: the session is not held up for ever."""
    server = talk()
    server.chunk(0)
    server.say(wire.ClientControl("stop", 2, 2_000_000_000))
    for now in (8.0, 16.0, 24.0, 29.0):
        server.now = now
        server.say(wire.ClientPing(0))
    server.at(29.9)
    assert server.session.phase is Phase.RECORDING
    server.at(30.0)
    assert server.session.phase is Phase.FINALIZING
    assert server.given_out() == [0]


@pytest.mark.requirement("S4")
def test_buttons_pressed_without_end_fill_no_log():
    """Some at once and two a second are taken, the rest passed over; sent again later they count."""
    server = talk()
    for n in range(2, 2_001):
        server.say(wire.ClientControl("pause" if n % 2 == 0 else "resume", n, 0))
    taken = server.session.controls_applied
    assert server.session.last_event == taken == 64
    server.now += 1.0
    for n in (taken + 1, taken + 2, taken + 3):
        server.say(wire.ClientControl("flush", n, 0))
    assert server.session.controls_applied == taken + 2
    assert server.codes() == []


def test_buttons_far_ahead_are_not_kept():
    """Only the next 64 numbers are remembered."""
    server = talk()
    for n in range(70, 200):
        server.say(wire.ClientControl("pause", n, 0))
    server.say(wire.ClientControl("pause", 2, 0))
    assert server.session.controls_applied == 2


def words() -> tuple[Word, ...]:
    return (Word(" uno", 0.0, 0.2, 1.0000001), Word(" dos", 0.25, 0.4, 0.5))


@pytest.mark.requirement("L3", "L4")
def test_what_was_missed_follows_the_greeting():
    """Finals and statuses are numbered and repeated from the last one applied; partials are not."""
    server = talk()
    server.session.partial(Partial(0, 0, words(), 1, 0.5))
    assert server.session.final(Final(0, words(), 0.5, "es")) == 2
    server.drain()
    server.session.link_lost(1, 1.0)
    server.session.partial(Partial(1, 0, words(), 0, 1.0))
    server.session.final(Final(1, words(), 1.0, "es"))
    server.open(wire.ClientHello("token-1", last_event=1, resuming=True))
    greeting, *rest = server.sent[2]
    assert (greeting.resumed, greeting.state, greeting.sync.last_event) == (True, "connected", 3)
    assert [(type(message), message.event) for message in rest] == [
        (wire.TranscriptionFinal, 2),
        (wire.TranscriptionFinal, 3),
    ]
    assert (rest[0].text, rest[0].confidence, rest[0].words[0].probability) == ("uno dos", 0.75, 1.0)
    assert len(server.session.events_after(0)) == 3


def test_a_new_client_is_greeted_first_and_owes_nothing():
    """Gaps and buttons that another client left behind are closed; all it hears begins with the greeting."""
    server = talk()
    server.chunk(0)
    server.chunk(2)
    server.say(wire.ClientControl("pause", 2, 4))
    server.say(wire.ClientControl("resume", 4, 4))
    server.open(wire.ClientHello("token-1"))
    created, *rest = server.sent[2]
    assert isinstance(created, wire.SessionCreated)
    assert (created.sync.next_seq, created.sync.controls, created.sync.phase) == (3, 2, "paused")
    assert (created.sync.next_stream, created.sync.audio_ms) == (1, 750)
    assert [message.event for message in rest] == list(range(1, created.sync.last_event + 1))
    server.say(wire.ClientControl("resume", 3, 3))
    assert server.session.phase is Phase.RECORDING


@pytest.mark.requirement("E3", "E4")
def test_what_was_on_its_way_when_the_session_ended_is_no_offence():
    """At its limit the server ends a session by itself: the link stays, so that its client hears the rest."""
    server = talk()
    server.chunk(0)
    server.session.set_phase(PhaseEvent.STOP)
    for seq in range(1, 65):
        server.chunk(seq)
    assert server.codes() == ["chunk_after_stop"] * 64
    assert server.closed() == []


@pytest.mark.requirement("L5")
def test_the_end_is_told_and_closed_once_it_is_acknowledged():
    """stop, finalizing, completed with the ledger filled in; after the client's ack the link is closed."""
    server = talk()
    server.chunk(0)
    server.say(wire.ClientControl("stop", 2, 1))
    server.chunk(1)
    assert server.codes() == ["chunk_after_stop"]
    assert server.given_out() == [0]
    server.session.status()
    summary = wire.Summary(0.25, 2, 0.9, None, wire.Received(), "f.txt", complete=True, language="es")
    event = server.session.completed(summary)
    server.drain()
    completed = server.got(wire.SessionCompleted)[-1]
    assert completed.summary.received == wire.Received(accepted=1, rejected=1)
    figures = wire.LatencyFigures(3, 900, 800, 1_500)
    server.say(wire.ClientAck(event - 1, figures))
    assert server.closed() == []
    server.say(wire.ClientAck(event))
    assert server.closed() == [(1, 1000)]
    assert server.session.latency == figures
    assert ev.Acknowledged(event, None) in server.events


@pytest.mark.requirement("E3")
def test_the_servers_own_steps():
    """A limit stops the session at once and says so; a step that does not fit raises and changes nothing."""
    server = talk()
    server.session.set_phase(PhaseEvent.STOP)
    server.drain()
    assert server.got(wire.Status)[-1].state == "finalizing"
    with pytest.raises(LifecycleError):
        server.session.set_phase(PhaseEvent.START)
    server.session.set_phase(PhaseEvent.FAIL)
    server.drain()
    assert server.got(wire.Status)[-1].phase == "failed"


@pytest.mark.requirement("E2")
def test_errors_go_to_the_client_and_stay_in_the_log_if_they_must():
    """Non-fatal errors keep the link; numbered ones come again; fatal ones close."""
    server = talk()
    server.session.error(RecognitionError("recognition_failed", start_s=1.0, reason="x"))
    server.session.error(AudioDecodeError("audio_decode", seq=4, reason="x"), seq=4, numbered=True)
    server.drain()
    assert [(e.code, e.seq, e.event) for e in server.got(wire.ServerError)] == [
        ("recognition_failed", None, 0),
        ("audio_decode", 4, 2),
    ]
    server.session.error(RecognitionError("recognition_failed", start_s=1.0, reason="x"), fatal=True)
    server.drain()
    assert server.closed() == [(1, 1011)]
    server.open(wire.ClientHello("token-1", last_event=1, resuming=True))
    assert server.codes() == ["audio_decode"]


def test_metrics_and_alerts():
    """Metrics carry the ledger and are not numbered; an alert may be."""
    server = talk()
    server.chunk(0)
    server.session.metrics(wire.Metrics(1, 1, 1, 0, 0, 0, 0, 0, 0))
    server.session.status(wire.Alert("memory", on=True, value=900.0), numbered=False)
    server.drain()
    assert server.got(wire.Metrics)[0].received.accepted == 1
    status = server.got(wire.Status)[-1]
    assert (status.alert.name, status.event) == ("memory", 0)
    server.say(wire.ClientAck(99))
    assert server.codes() == ["event_unknown"]

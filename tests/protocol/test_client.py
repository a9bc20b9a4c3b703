"""The client's buttons and audio, and what it makes of a server's messages."""

from __future__ import annotations

import json

import pytest
from tests.protocol.listen import ack, final, greet, of, opened, record, say, sent, sync

from rtstt_lab.errors import LifecycleError, UsageError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.lifecycle import Link, Phase, Shown
from rtstt_lab.protocol.windows import Ledger


@pytest.mark.requirement("L6")
def test_buttons_are_numbered_and_wait_for_the_link():
    """Pressed while the link is down, sent on the next one, gone once applied; repeats send nothing."""
    client = opened()
    client.start(0.0)
    client.start(0.0)
    record(client, 2)
    client.link_lost("cut", 1.0)
    client.pause(1.1)
    client.pause(1.1)
    assert client.pending_controls == (wire.ClientControl("start", 1, 0), wire.ClientControl("pause", 2, 2))
    client.handle_timer(2.0)
    greet(client, 2.0, phase="recording", controls=1)
    assert sent(client, 2.0)[0] == wire.ClientControl("pause", 2, 2)
    assert client.shown is Shown.PAUSED
    say(client, 2.0, ack(None, 0, controls=2))
    assert client.pending_controls == ()


@pytest.mark.requirement("L1", "L6")
def test_what_the_state_does_not_allow_raises():
    """An illegal button or chunk changes nothing."""
    client = opened()
    for name in ("pause", "resume", "flush"):
        with pytest.raises(LifecycleError):
            getattr(client, name)(0.0)
    with pytest.raises(LifecycleError):
        record(client, 1)
    client.start(0.0)
    with pytest.raises(UsageError):
        client.send_audio(b"", duration_ms=60_001, captured_ms=0, stream=0, now=0.0)
    client.stop(0.0)
    with pytest.raises(LifecycleError):
        record(client, 1)
    with pytest.raises(LifecycleError):
        client.connect(0.0)
    assert client.ledger.captured == 0


@pytest.mark.requirement("L4")
def test_a_fresh_client_numbers_on_from_the_server():
    """A reloaded page joins a session that is further on: nothing that it recorded early is taken for old."""
    client = ClientSession("s", "first")
    client.connect(0.0)
    client.start(0.0)
    record(client, 2)
    greet(client, 1.0, phase="paused", next_seq=10, controls=3, next_stream=2, audio_ms=2_500)
    control, first, second = sent(client, 1.0)
    assert (control.n, control.at_seq) == (4, 10)
    assert [(h.seq, h.stream, h.mime) for h in (first, second)] == [(10, 2, "audio/pcm"), (11, 2, None)]
    assert client.shown is Shown.RECORDING
    assert client.tracker.chunks[0].end_ms == 2_750


@pytest.mark.requirement("L4", "M3")
def test_a_fresh_clients_ledger_begins_with_the_servers():
    """What other clients transmitted in the session counts in both sums, or none would ever balance again."""
    client = ClientSession("s", "first")
    client.connect(0.0)
    client.start(0.0)
    record(client, 2)
    received = wire.Received(accepted=9, duplicate=4, rejected=2, lost=1)
    greet(client, 1.0, phase="recording", next_seq=10, received=received)
    assert len([header for header in sent(client, 1.0) if isinstance(header, wire.AudioHeader)]) == 2
    assert client.ledger.balanced()
    assert client.ledger == Ledger(12, 17, 9, 4, 2, cut=2, lost=1, held=2)


@pytest.mark.requirement("L5")
def test_a_client_cut_off_at_the_last_moment_learns_the_outcome():
    """Completed is known from the greeting, but the summary is still owed: the client comes back for it."""
    client = opened()
    client.start(0.0)
    client.stop(0.0)
    client.link_lost("cut", 1.0)
    client.handle_timer(2.0)
    greet(client, 2.0, phase="completed", controls=2, last_event=1)
    client.link_lost("cut", 3.0)
    assert client.link is Link.RECONNECTING
    client.handle_timer(client.next_deadline())
    greet(client, 5.0, phase="completed", controls=2, last_event=1)
    summary = wire.Summary(1.0, 0, None, None, wire.Received(), "f.txt", complete=True, language=None)
    say(client, 5.0, wire.SessionCompleted(summary, 1))
    assert of(client, ev.Completed) == [ev.Completed(summary)]
    assert wire.ClientAck(1) in sent(client, 5.0)
    client.link_lost("closed", 6.0, code=1000)
    assert (client.shown, client.link) == (Shown.COMPLETED, Link.CLOSED)


@pytest.mark.requirement("L1", "E3")
def test_a_session_ended_by_the_server_passes_through_finalizing():
    """The server's limit ends a paused session; audio that it will not take is lost, out loud."""
    client = opened()
    client.start(0.0)
    record(client, 3)
    client.data_to_send(0.0)
    say(client, 0.5, ack(0, 1))
    client.pause(1.0)
    client.events()
    summary = wire.Summary(
        1.0, 0, None, None, wire.Received(accepted=1), "f.txt", complete=True, language=None
    )
    say(client, 2.0, wire.SessionCompleted(summary, 1))
    events = client.events()
    shown = [e.shown for e in events if isinstance(e, ev.StateChanged)]
    assert shown == [Shown.FINALIZING, Shown.COMPLETED]
    assert [e for e in events if isinstance(e, ev.ChunksLost)] == [ev.ChunksLost(1, 2, "session_over")]
    assert client.ledger.balanced()
    assert (client.ledger.accepted, client.ledger.lost, client.ledger.held, client.ledger.cut) == (1, 2, 0, 2)


def test_each_final_counts_once_and_a_gap_is_closed_by_connecting_again():
    """Numbered events are applied in their order; a repeat is passed over, a gap never jumped."""
    client = opened()
    say(client, 1.0, final(1))
    say(client, 1.0, final(1))
    assert len(client.finals) == 1
    assert sent(client, 1.0) == [wire.ClientAck(1)]
    say(client, 2.0, final(3))
    assert (len(client.finals), client.shown) == (1, Shown.RECONNECTING)
    client.handle_timer(client.next_deadline())
    client.link_opened(3.0)
    assert sent(client, 3.0) == [wire.ClientHello("next", 1, resuming=True, attempt=1)]


@pytest.mark.requirement("L3")
def test_a_partial_replaces_its_segments_earlier_one():
    """Partials come and go; a final closes its segment."""
    client = opened()
    for revision in range(2):
        say(client, 1.0, wire.TranscriptionPartial(0, revision, f"r{revision}", (), 0, 250))
    assert [partial.text for partial in client.partials.values()] == ["r1"]
    say(client, 1.0, final(1))
    assert client.partials == {}


@pytest.mark.requirement("A1", "M1")
def test_the_latency_alert_goes_on_above_three_seconds_and_off_below_two():
    """The client measures from sending to the result that covers the chunk."""
    client = opened()
    client.start(0.0)
    record(client, 2)
    client.data_to_send(0.0)
    say(client, 3.5, final(1))
    assert of(client, ev.AlertRaised) == [ev.AlertRaised("latency", 3.5)]
    assert client.latency == wire.LatencyFigures(1, 3500, 3500, 3500)
    say(client, 5.0, wire.Metrics(0.5, 0.5, 0, 0, 0, 0, 0, 0, 0))
    record(client, 1, 5.0)
    client.data_to_send(5.0)
    say(
        client,
        6.0,
        wire.TranscriptionPartial(1, 0, "b", (wire.WireWord("b", 300, 700, 1.0),), 0, 750),
    )
    assert client.latency.n == 3
    assert of(client, ev.AlertCleared) == []
    record(client, 1, 7.0)
    client.data_to_send(7.0)
    say(client, 8.0, wire.TranscriptionPartial(1, 1, "c", (wire.WireWord("c", 800, 900, 1.0),), 0, 1_000))
    assert [alert.name for alert in of(client, ev.AlertCleared)] == ["latency"]


@pytest.mark.requirement("S4", "O3")
def test_the_client_paces_itself_and_waits_when_asked():
    """No more chunks a second than allowed; a refusal with a wait holds audio back; none is dropped."""
    client = opened(limits=wire.Limits(max_chunks_per_s=4))
    client.start(0.0)
    record(client, 10)
    first = [m for m in sent(client, 0.0) if isinstance(m, wire.AudioHeader)]
    assert len(first) == 4
    assert client.next_deadline() == 0.25
    say(client, 0.1, wire.ServerError("limit_chunk_rate", "…", retryable=True, retry_after_ms=2_000))
    client.handle_timer(1.0)
    assert sent(client, 1.0) == []
    rest = [m for m in sent(client, 2.1) if isinstance(m, wire.AudioHeader)]
    assert [header.seq for header in rest] == [4, 5, 6, 7]
    assert client.ledger.held == 10


def test_a_chunk_without_an_answer_goes_again():
    """Five seconds without progress: the oldest chunk is sent again, and counts as another transmission."""
    client = opened()
    client.start(0.0)
    record(client, 2)
    client.data_to_send(0.0)
    say(client, 1.0, ack(0, 1))
    client.handle_timer(5.9)
    assert [m for m in sent(client, 5.9) if isinstance(m, wire.AudioHeader)] == []
    say(client, 5.9, wire.ServerPing(0))
    client.handle_timer(6.0)
    assert [m.seq for m in sent(client, 6.0) if isinstance(m, wire.AudioHeader)] == [1]
    assert client.ledger.transmitted == 3


def test_clock_offset_comes_from_the_quickest_exchange():
    """Of several exchanges the one with the shortest round trip tells the offset."""
    client = opened()
    client.start(0.0)
    record(client, 2)
    client.data_to_send(0.0)
    say(client, 0.100, ack(0, 1, client_sent_ms=0, received_ms=1_050, sent_ms=1_050))
    assert (client.clock.offset_ms, client.clock.round_trip_ms) == (1_000, 100)
    say(client, 0.900, ack(1, 2, client_sent_ms=0, received_ms=1_050, sent_ms=1_050))
    assert client.clock.offset_ms == 1_000


def test_messages_that_do_not_fit_are_reported_and_change_nothing():
    """Unknown types, unknown phases and messages before the greeting: an error, and the session goes on."""
    client = ClientSession("s", "first")
    client.connect(0.0)
    client.link_opened(0.0)
    say(client, 0.0, wire.Status("recording", "recording"))
    assert client.phase is Phase.IDLE
    client.receive_text('{"type":"server:new"}', 0.0)
    assert [e.message.code for e in of(client, ev.ErrorReceived)] == ["lifecycle", "frame_malformed"]
    client = opened()
    say(client, 0.0, wire.Status("recording", "dancing"))
    say(client, 0.0, wire.SessionCreated("s", wire.PROTOCOL, "base", None, wire.Limits(), sync()))
    assert [e.message.code for e in of(client, ev.ErrorReceived)] == ["frame_malformed", "lifecycle"]
    assert client.shown is Shown.CONNECTED


def test_events_are_plain_json():
    """Every event can be written down as it is, for traces and viewers."""
    client = opened()
    client.start(0.0)
    say(client, 1.0, final(1))
    written = [ev.as_json(event) for event in client.events()]
    assert json.loads(json.dumps(written))[0] == {
        "type": "StateChanged",
        "shown": "recording",
        "link": "open",
        "phase": "recording",
        "mode": "stream",
    }


@pytest.mark.requirement("D1", "L4")
def test_each_link_is_told_the_recorders_format_anew():
    """The type comes with a recorder's first chunk and with its first one on each new link."""
    client = opened()
    client.start(0.0)
    record(client, 2)
    assert [m.mime for m in sent(client, 0.0) if isinstance(m, wire.AudioHeader)] == ["audio/pcm", None]
    client.link_lost("cut", 1.0)
    client.handle_timer(2.0)
    greet(client, 2.0, phase="recording", controls=1)
    assert [m.mime for m in sent(client, 2.0) if isinstance(m, wire.AudioHeader)] == ["audio/pcm", None]


@pytest.mark.requirement("S1")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"first": 3, "last": 4, "reason": "new"},
        {"first": "3", "last": 4, "reason": "given_up"},
        {"first": -3, "last": 4, "reason": "given_up"},
        {"first": 4, "last": 3, "reason": "given_up"},
    ],
)
def test_a_loss_that_is_not_understood_is_reported(parameters):
    """A newer server's reasons, or nonsense, are an error that is told; the link stays."""
    client = opened()
    say(client, 0.0, wire.ServerError("chunk_lost", "lost", parameters, event=1))
    codes = [error.message.code for error in of(client, ev.ErrorReceived)]
    assert codes == ["chunk_lost", "frame_malformed"]
    assert client.link is Link.OPEN
    assert sent(client, 0.0) == [wire.ClientAck(1)]

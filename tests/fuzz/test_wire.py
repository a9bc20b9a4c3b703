"""Whatever comes over the wire: errors of the house at most, bounded state, and a session that goes on."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import msgspec
import pytest
from tests.engine.world import World

from rtstt_lab.engine import EngineSettings
from rtstt_lab.errors import (
    AuthenticationError,
    ChecksumError,
    ChunkTooLargeError,
    LifecycleError,
    MalformedFrameError,
    RtsttError,
    UsageError,
)
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.blocks import split_block
from rtstt_lab.protocol.client import ClientSession, ClientSettings
from rtstt_lab.protocol.lifecycle import Link, Phase

from . import valid
from .mutations import mutated, mutated_frame, mutated_json, rng_of

CLIENT = [wire.encode(message).encode() for message in valid.client_messages()]
SERVER = [wire.encode(message).encode() for message in valid.server_messages()]
FRAMES = [valid.chunk(n, bytes(n)) for n in (0, 1, 7, 900)]
BLOCKS = [valid.block(), valid.block(3, 4), b""]
CONVERSATION = 40
"""Inputs of one session."""
MAX_EVENTS = 300
LOST_EVENTS = 1_100
"""So many may be claimed that a power cut took from the journal, and a little for the end."""

few_or_many = pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(2_000, id="few"),
        pytest.param(50_000, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def refusal(decode, data) -> RtsttError | None:
    try:
        decode(data)
    except (MalformedFrameError, ChecksumError, ChunkTooLargeError) as error:
        return error
    return None


@pytest.mark.requirement("S1")
@few_or_many
def test_no_input_gets_through_a_decoder_unseen(inputs):
    """Every decoder of the wire gives a value, or an error that can be told in both languages."""
    decoders = {
        wire.decode_client_message: (CLIENT, text_of),
        wire.decode_server_message: (SERVER, text_of),
        wire.decode_numbered: (SERVER, text_of),
        wire.decode_audio: (FRAMES, bytes),
        split_block: (BLOCKS, bytes),
    }
    refused = 0
    for number in range(inputs):
        rng = rng_of(number)
        for decode, (corpus, form) in decoders.items():
            data = mutated(corpus, rng)
            if form is text_of and rng.random() < 0.5:
                data = mutated_json(rng.choice(corpus), rng).encode("utf-8", "surrogatepass")
            if error := refusal(decode, form(data)):
                refused += 1
                assert str(error), number
                assert error.localized("es"), number
    assert inputs < refused < 5 * inputs  # some are right after all: the mutations reach behind the checks


class Target:
    """A session's engine as an attacker finds it, and all that is bounded in it."""

    def __init__(self, number: int) -> None:
        self.rng = rng_of(number)
        self.world = World(settings=EngineSettings(max_events=MAX_EVENTS))
        self.told: list = []
        self.link: int | None = None
        self.restarts = 0
        self._links = count(1)

    @property
    def session(self):
        return self.world.session

    def open(self, *, resuming: bool = True) -> None:
        """A new socket that says hello rightly; only so many an hour are allowed, so time goes by."""
        self.world.now += 70
        self.drain()
        self.link = next(self._links)
        self.world.engine.link_opened(self.world.now, self.link)
        hello = wire.ClientHello(valid.TOKEN, resuming=resuming)
        self.world.engine.receive_text(wire.encode(hello), self.world.now, self.link)
        self.drain()

    def attack(self) -> None:
        """One input, by one of the three ways in."""
        rng, engine, now = self.rng, self.world.engine, self.world.now
        seq, control = self.session.next_seq, self.session.controls_applied + 1
        way = rng.random()
        if way < 0.35:
            texts = [wire.encode(message).encode() for message in valid.client_messages(seq, control)]
            right = way < 0.25
            frame = mutated_json(rng.choice(texts), rng) if right else text_of(mutated(texts, rng))
            engine.receive_text(frame, now, self.link or 0)
        elif way < 0.85:
            frame = valid.chunk(
                seq + rng.choice((0, 0, 0, 1, 5, 255, 256)), rng.randbytes(rng.randint(0, 3_000))
            )
            frame = mutated_frame(frame, FRAMES, rng) if way < 0.75 else mutated([frame], rng)
            engine.receive_bytes(frame, now, self.link or 0)
        else:
            body = mutated([valid.block(seq, control)], rng)
            after = rng.choice((0, 1, 2**53 - 1))
            with suppress(MalformedFrameError, AuthenticationError):
                engine.receive_block(body, now, token=valid.TOKEN, after=after, new=rng.random() < 0.2)
        self.drain()

    def drain(self) -> None:
        """Does what the engine wants done, as far as it can be done at once."""
        world = self.world
        moved = True
        while moved:
            effects = world.engine.effects()
            moved = bool(effects) or bool(world.owed)
            for effect in effects:
                world._execute(effect)
                if isinstance(effect, ev.CloseLink) and effect.link == self.link:
                    self.link = None
            if world.owed:
                world.answer()
            for link, frame in world.engine.data_to_send(world.now):
                self.told.append((link, wire.decode_server_message(frame)))
            if not world.serving:
                self.restart()
        self.check()

    def restart(self) -> None:
        """The server is killed; another one takes the session up, unless it was over."""
        self.world.kill()
        self.link = None
        self.restarts += 1
        if self.world.state().completed is None:
            self.world.take_up()
        else:
            self.world.serving = True

    def wait(self) -> None:
        """Time goes by: what is due is done."""
        self.world.now += self.rng.choice((0.0, 0.01, 0.25, 4.0, 31.0))
        self.world.engine.handle_timer(self.world.now)
        self.drain()

    def check(self) -> None:
        """All bounds hold, and the ledger comes out."""
        session = self.session
        intake, window = session._intake, session._intake._window
        received = session.received
        assert received.accepted + received.lost == session.next_seq
        assert session.committed_seq <= session.next_seq or session._restored
        assert len(window._ahead) <= 256
        assert window._bytes <= 17 * 2**20
        assert len(window._wanted) <= wire.MAX_MISSING
        assert len(intake.missing()) <= wire.MAX_MISSING
        assert len(session._controls._pending) <= 64
        assert len(session._links._waiting) <= 8
        assert session.last_event <= MAX_EVENTS + LOST_EVENTS * (1 + self.restarts)
        assert not session._out

    def takes_a_chunk(self) -> bool:
        """Whether a right chunk of another client is taken; a session that was ended says so."""
        self.open(resuming=False)
        if self.session.phase in (Phase.IDLE, Phase.PAUSED):
            action = "start" if self.session.phase is Phase.IDLE else "resume"
            press = wire.ClientControl(action, self.session.controls_applied + 1, self.session.next_seq)
            self.world.engine.receive_text(wire.encode(press), self.world.now, self.link)
            self.drain()
        seq = self.session.next_seq
        before = len(self.told)
        self.world.engine.receive_bytes(
            valid.chunk(seq, stream=self.session._intake.next_stream), self.world.now, self.link or 0
        )
        self.drain()
        said = [message for _, message in self.told[before:]]
        if self.session.phase is Phase.RECORDING:
            assert any(isinstance(m, wire.ServerAck) and m.seq == seq and m.next_seq > seq for m in said), (
                said
            )
            return True
        assert self.session.phase in (Phase.FINALIZING, Phase.COMPLETED)
        return False


@pytest.mark.requirement("S1", "E4", "O3")
@few_or_many
def test_no_client_breaks_a_session(inputs):
    """Frames, messages, blocks that are nearly right, cuts, restarts: bounded, and a right chunk is taken."""
    going_on = 0
    for number in range(inputs // CONVERSATION):
        target = Target(number)
        target.open()
        for _ in range(CONVERSATION):
            if target.link is None or target.rng.random() < 0.03:
                target.open(resuming=target.rng.random() < 0.7)
            target.attack()
            if target.rng.random() < 0.2:
                target.wait()
            if target.rng.random() < 0.02:
                target.restart()
        going_on += target.takes_a_chunk()
    assert going_on > inputs // CONVERSATION // 2


class Victim:
    """A client's session, and a server that says nearly what it should."""

    def __init__(self, number: int) -> None:
        self.rng = rng_of(number)
        self.now = 0.0
        self.client = ClientSession("s", "first", settings=ClientSettings(max_buffer_bytes=MAX_HELD_BYTES))
        self.block: ev.SendBlock | None = None
        self.client.connect(self.now)
        self.drain()

    def drain(self) -> None:
        """Takes what came out, and holds what is kept against its bounds."""
        client = self.client
        for event in client.events():
            if isinstance(event, ev.OpenLink):
                client.link_opened(self.now)
            elif isinstance(event, ev.SendBlock):
                self.block = event
        for frame in client.data_to_send(self.now):
            if isinstance(frame, bytes):
                wire.split_audio(frame)
            else:
                wire.decode_client_message(frame)
        assert client.next_deadline() is None or client.next_deadline() > self.now - 60
        assert client._audio._window._bytes <= MAX_HELD_BYTES
        assert len(client.pending_controls) <= 64
        assert client.shown is not None

    def attack(self) -> None:
        """One message, or one receipt of a block, of a server that can't be trusted."""
        rng, client = self.rng, self.client
        event = client._last_event + 1
        if self.block is not None and rng.random() < 0.5:
            text = mutated_json(msgspec.json.encode(valid.receipt(event)), rng)
            with suppress(msgspec.DecodeError, UnicodeError, RecursionError):  # `Posting` says that it failed
                receipt = msgspec.json.decode(text.encode(), type=wire.BlockReceipt)
                client.block_answered(self.block.block, receipt, self.now)
                self.block = None
        else:
            texts = [wire.encode(message).encode() for message in valid.server_messages(event)]
            near = rng.random()
            frame = text_of(rng.choice(texts)) if near < 0.3 else mutated_json(rng.choice(texts), rng)
            client.receive_text(frame if near < 0.8 else text_of(mutated(texts, rng)), self.now)
        self.drain()

    def live(self) -> None:
        """What people and networks do meanwhile."""
        rng, client = self.rng, self.client
        what = rng.random()
        if what < 0.5:
            payload = rng.randbytes(rng.randint(0, 3_000))
            with suppress(LifecycleError, UsageError):
                client.send_audio(
                    payload, duration_ms=100, captured_ms=0, stream=0, mime=valid.PCM, now=self.now
                )
        elif what < 0.6:
            with suppress(LifecycleError):
                getattr(client, rng.choice(("start", "pause", "resume", "flush", "stop", "connect")))(
                    self.now
                )
        elif what < 0.65:
            client.link_lost("cut", self.now, rng.choice((None, 1006, 4400)))
        else:
            self.now = max(self.now, client.next_deadline() or 0.0) + rng.choice((0.0, 0.01, 1.0))
            client.handle_timer(self.now)
        self.drain()


MAX_HELD_BYTES = 50_000


@pytest.mark.requirement("S1", "E4", "O3")
@few_or_many
def test_no_server_breaks_a_client(inputs):
    """Messages and receipts that are nearly right: reported, bounded, and whatever is sent on is whole."""
    linked = 0
    for number in range(inputs // CONVERSATION):
        victim = Victim(number)
        for _ in range(CONVERSATION):
            victim.attack()
            victim.live()
            linked += victim.client.link is Link.OPEN
    assert linked > inputs // 20  # it was talked with, too, and not only turned away

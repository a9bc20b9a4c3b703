"""A client, an engine and a worker joined in one place, in a time of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from math import inf

import msgspec
from tests.engine.scripted import ScriptedWorker

from rtstt_lab.engine import EngineSettings, SessionEngine, SessionWorker, Stage
from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.journal import Record, SessionRecord, SessionState, recover
from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.transcript import Transcript
from rtstt_lab.types import PCM

STARTED = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
TOKEN = "a token for a test"


class World:
    """What the tests drive. The link carries at once; `work` decides when effects are answered.

    Attributes:
        slow_from: chunks from this one on do not arrive for now; they are sent again when they are asked for.
    """

    def __init__(
        self,
        worker: ScriptedWorker | SessionWorker | None = None,
        *,
        settings: EngineSettings | None = None,
        limits: wire.Limits | None = None,
        decode_s: float = 0.0,
        answer_at_once: bool = True,
        save_error: RtsttError | None = None,
        new_worker: Callable[[SessionState], ScriptedWorker | SessionWorker] | None = None,
    ) -> None:
        self._tokens = count()
        self.now = 100.0
        self.worker = worker or ScriptedWorker()
        self.settings = settings
        self.decode_s = decode_s
        self.answer_at_once = answer_at_once
        self.save_error = save_error
        self.begun = SessionRecord("session", "scripted", STARTED, limits=limits or wire.Limits())
        self.session = self._session(None)
        self.engine = SessionEngine(self.session, settings, started_at=STARTED, now=self.now)
        self.new_worker = new_worker or (lambda state: ScriptedWorker(state=state))
        self.serving = self.reachable = True
        self.dies_after: int | None = None
        self.slow_from: int | None = None
        self.client = ClientSession("session", TOKEN)
        self.events: list[ev.ClientEvent] = []
        self.journal: list[Record] = []
        self.saved: list[Transcript] = []
        self.effects: list[fx.Effect] = []
        self.owed: list[tuple[float, fx.Effect]] = []
        self.captured_ms = 0
        self.linked = False
        self._links = 0

    # --- the server's life

    def kill(self) -> None:
        """The server's process is gone, and with it all that its journal does not say."""
        self.serving, self.dies_after = False, None
        self.owed.clear()
        self.cut()

    def state(self) -> SessionState:
        """What the journal says."""
        return recover([self.begun, *self.journal])

    def take_up(self) -> None:
        """A server takes the session up from its journal."""
        state = self.state()
        self.session = self._session(state)
        self.worker.close()
        self.worker = self.new_worker(state)
        self.engine = SessionEngine(
            self.session, self.settings, started_at=STARTED, now=self.now, state=state
        )
        self.serving = True

    def _session(self, state: SessionState | None) -> ServerSession:
        return ServerSession(
            "session",
            token_hash=hashlib.sha256(TOKEN.encode()).hexdigest(),
            new_token=lambda: f"token {next(self._tokens)}",
            limits=self.begun.limits,
            model="scripted",
            restored=state.protocol if state else None,
        )

    # --- the client's side

    def connect(self) -> None:
        self.client.connect(self.now)
        self.pump()

    def start(self) -> None:
        self.connect()
        self.client.start(self.now)
        self.pump()

    def speak(self, duration_ms: int = 250, *, real_time: bool = True) -> int:
        """Sends one chunk of PCM; in real time the clock moves on with it."""
        return self.send(bytes(32 * duration_ms), duration_ms, real_time=real_time)

    def send(self, payload: bytes, duration_ms: int, mime: str = PCM.mime, *, real_time: bool = True) -> int:
        """Sends one chunk of the first recorder."""
        seq = self.client.send_audio(
            payload, duration_ms=duration_ms, captured_ms=self.captured_ms, stream=0, mime=mime, now=self.now
        )
        self.captured_ms += duration_ms
        self.pump()
        if real_time:
            self.pass_time(duration_ms / 1000)
        return seq

    def control(self, action: str) -> None:
        getattr(self.client, action)(self.now)
        self.pump()

    def restart_client(self, token: str) -> None:
        """The page is loaded again: another client, with nothing in its hands but a token."""
        self.client, self.linked = ClientSession("session", token), False
        self.connect()

    def cut(self) -> None:
        """The link breaks; both sides learn of it."""
        if self.linked:
            self.linked = False
            self.client.link_lost("cut", self.now)
            if self.serving:
                self.engine.link_lost(self._links, self.now)
            self.pump()

    # --- time and the work

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        calls = 0
        while True:
            calls += 1
            assert calls < 100 + 500 * seconds, "a deadline that handle_timer does not move"
            deadlines = [d for d in (self._engine_deadline(), self.client.next_deadline()) if d is not None]
            deadlines += [at for at, _ in self.owed] if self.answer_at_once else []
            due = min(deadlines, default=inf)
            if due > end:
                break
            self.now = max(self.now, due)
            if self.serving:
                self.engine.handle_timer(self.now)
            self.client.handle_timer(self.now)
            self.pump()
        self.now = end
        self.pump()

    def pump(self) -> None:
        """Carries everything that is under way, until nothing moves."""
        moved = True
        while moved:
            moved = self._answer_due() if self.answer_at_once else False
            moved |= self._pump_engine()
            moved |= self._pump_client()

    def _engine_deadline(self) -> float | None:
        return self.engine.next_deadline() if self.serving else None

    def _pump_engine(self) -> bool:
        if not self.serving:
            return False
        effects = self.engine.effects()
        for effect in effects:
            self._execute(effect)
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    self.kill()
            if not self.serving:
                return True
        frames = self.engine.data_to_send(self.now)
        for link, frame in frames:
            if self.linked and link == self._links:
                assert isinstance(frame, str)
                self.client.receive_text(frame, self.now)
        return bool(effects or frames)

    def answer(self) -> None:
        """Answers the effect that is due first."""
        due = min(range(len(self.owed)), key=lambda index: self.owed[index][0])
        effect = self.owed.pop(due)[1]
        match effect:
            case fx.FeedAudio() | fx.FeedHole():
                try:
                    feed = self.worker.feed if isinstance(effect, fx.FeedAudio) else self.worker.hole
                    report = feed(effect)  # type: ignore[arg-type]
                except RtsttError as error:
                    self.engine.audio_failed(effect.seq, error, self.now)
                else:
                    self.engine.audio_fed(effect.seq, report, self.now)
            case fx.Recognise():
                try:
                    result = self.worker.recognise(effect)
                except RtsttError as error:
                    self.engine.recognition_failed(effect.job, error, self.now)
                else:
                    self.engine.recognised(effect.job, result, self.now)
            case fx.SaveTranscript(transcript=transcript):
                if self.save_error:
                    self.engine.save_failed(self.save_error, self.now)
                else:
                    self.saved.append(transcript)
                    self.engine.saved("file.txt", self.now)

    def _answer_due(self) -> bool:
        if any(at <= self.now for at, _ in self.owed):
            self.answer()
            return True
        return False

    def _execute(self, effect: fx.Effect) -> None:
        self.effects.append(effect)
        match effect:
            case fx.WriteJournal(record=record):
                self.journal.append(msgspec.json.decode(msgspec.json.encode(record), type=Record))
            case fx.Suspend():
                self.serving = False
            case ev.CloseLink(link=link) if link == self._links and self.linked:
                for to, frame in self.engine.data_to_send(self.now):
                    if to == link and isinstance(frame, str):
                        self.client.receive_text(frame, self.now)
                self.linked = False
                self.client.link_lost(effect.reason, self.now, effect.code)
            case fx.FeedAudio() | fx.FeedHole() | fx.SaveTranscript():
                self.owed.append((self.now, effect))
            case fx.Recognise():
                self.owed.append((self.now + self.decode_s, effect))

    def _pump_client(self) -> bool:
        moved = False
        for event in self.client.events():
            moved = True
            self.events.append(event)
            if isinstance(event, ev.OpenLink):
                self._open()
            elif isinstance(event, ev.SendBlock):
                self._post(event)
        for frame in self.client.data_to_send(self.now):
            moved = True
            if not self.linked:
                continue
            if isinstance(frame, bytes):
                if self.slow_from is not None and wire.split_audio(frame)[0].seq >= self.slow_from:
                    continue  # on its way all the while
                self.engine.receive_bytes(frame, self.now, self._links)
            else:
                self.engine.receive_text(frame, self.now, self._links)
        return moved

    def _open(self) -> None:
        self._links += 1
        if not self.reachable:
            self.client.link_lost("refused", self.now)
            return
        if not self.serving:
            self.take_up()
        self.linked = True
        self.client.link_opened(self.now)
        self.engine.link_opened(self.now, self._links)

    def _post(self, block: ev.SendBlock) -> None:
        if self.reachable and not self.serving:
            self.take_up()
        receipt = None
        if self.reachable:
            receipt = self.engine.receive_block(
                block.body, self.now, token=block.token, after=block.after, new=block.new
            )
            self._pump_engine()
        if receipt is not None and self.serving:
            self.client.block_answered(block.block, receipt, self.now)
        else:
            self.client.block_failed(block.block, "no server", self.now)

    # --- what the tests ask

    def of(self, kind: type) -> list:
        """The effects or client events of one kind, in order."""
        return [item for item in (*self.effects, *self.events) if isinstance(item, kind)]

    def errors(self) -> list[str]:
        return [event.message.code for event in self.of(ev.ErrorReceived)]

    def alerts(self) -> list[tuple[str, bool]]:
        statuses = [event.message.alert for event in self.of(ev.StatusReceived)]
        return [(alert.name, alert.on) for alert in statuses if alert]

    def text(self) -> str:
        return " ".join(final.text for final in self.engine.transcript().finals)

    @property
    def stage(self) -> Stage:
        return self.engine.status().stage

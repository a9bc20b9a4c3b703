"""A client, a server and a link that fails, in virtual time: for traces and for stateful tests.

The link delays, cuts (a part of what is on its way still arrives), goes silent without a close, damages,
drops and repeats frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from protocol_pipe import Pipe
from protocol_trace import Call, step
from rtstt_lab.errors import RtsttError
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSession, ClientSettings
from rtstt_lab.protocol.lifecycle import TERMINAL, Phase
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.protocol.server_state import ProtocolState
from rtstt_lab.types import Final, Partial, Word

Posting: TypeAlias = Literal["answered", "refused", "busy", "forgotten", "unanswered"]


_REFUSALS: dict[Posting, dict[str, Any]] = {
    "refused": {},
    "busy": {"retry_after_s": 7.0},
    "forgotten": {"code": "session_unknown"},
}


class World:
    """A client, a server, the link between them, and a stand-in for recognition that hears one word a chunk.

    Attributes:
        now: virtual time, s.
        delay_s: of the link, each way.
        reachable: whether sockets open.
        answering: whether an opened socket leads to the server.
        posting: what becomes of a block: it is "answered"; "refused" on the way; the server is "busy", or has
            "forgotten" the session; or it is "unanswered", its receipt lost.
        steps: what the client was told, and what came of it.
        delivered: numbers that the server gave out, with "audio" or the reason of the hole, in order.
        controls: buttons applied: action, number, at_seq, and how many chunks had been given out.
        finals_sent: texts of the finals, in order.
        injected: audio frames that the link itself added.
    """

    def __init__(self, settings: ClientSettings | None = None, limits: wire.Limits | None = None) -> None:
        self.now = 100.0
        self.delay_s = 0.05
        self.reachable = True
        self.answering = True
        self.posting: Posting = "answered"
        self.settings = settings or ClientSettings()
        self.client = ClientSession("5e551017-0000-4000-8000-000000000000", "token-0", settings=self.settings)
        self._tokens = iter(range(1, 10**9))
        self._limits = limits
        self.server = self._make_server(None)
        self.steps: list[dict[str, Any]] = []
        self.delivered: list[tuple[int, str]] = []
        self.controls: list[tuple[str, int, int, int]] = []
        self.finals_sent: list[str] = []
        self.events: list[ev.ClientEvent] = []
        self.injected = 0
        self.captured_payloads: list[bytes] = []
        self.stopping = False
        self._links = 0
        self._silent = False
        self._link: int | None = None
        self._up, self._down = Pipe(), Pipe()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._segment = 0
        self._heard_ms = 0
        self._phase_at = 0
        self.restarts = 0

    # --- the client -----------------------------------------------------------------------------------------

    def call(self, name: str, **arguments: Any) -> Any:
        """Calls the client, drains it, and does what it asks for."""
        returned = raised = None
        try:
            returned = getattr(self.client, name)(**arguments, now=self.now)
        except RtsttError as error:
            raised = error.key
        events = self.client.events()
        data = self.client.data_to_send(self.now)
        self.events += events
        call = Call(name, arguments, returned, raised)
        self.steps.append(step(call, self.now, self.client, events, data))
        for frame in data:
            if self._link is not None and not self._silent:
                self._up.put(frame, self.now + self.delay_s)
        for event in events:
            match event:
                case ev.OpenLink():
                    self._open()
                case ev.CloseLink():
                    self._disconnect()
                case ev.SendBlock():
                    self._post(event)
        return returned

    def capture(
        self, payload: bytes, duration_ms: int = 250, stream: int = 0, mime: str | None = None
    ) -> None:
        """The recorder hands a chunk over."""
        before = self.client.ledger.captured
        captured_ms = self.client.clock_ms(self.now) - duration_ms
        self.call(
            "send_audio",
            payload=payload,
            duration_ms=duration_ms,
            captured_ms=captured_ms,
            stream=stream,
            mime=mime,
        )
        if self.client.ledger.captured > before:
            self.captured_payloads.append(payload)

    # --- the link -------------------------------------------------------------------------------------------

    def cut(self, up: int = 0, down: int = 0, *, code: int | None = None, server_hears: bool = True) -> None:
        """The link breaks; the first `up` and `down` frames on their way still arrive."""
        if self._link is None:
            return
        link = self._link
        for _ in range(min(up, len(self._up.frames))):
            self._arrive_up()
        for _ in range(min(down, len(self._down.frames))):
            if self._link == link:
                self._arrive_down()
        if self._link == link:
            self._link = None
            self._up, self._down = Pipe(), Pipe()
            if server_hears:
                self.server.link_lost(link, self.now)
            self.call("link_lost", reason="cut", code=code)
            self._serve()

    def go_silent(self) -> None:
        """The link is dead and nobody is told."""
        if self._link is not None:
            self._up, self._down = Pipe(), Pipe()
            self._silent = True

    def damage(self) -> None:
        """One bit of the last chunk on its way up is flipped."""
        self._up.damage()

    def drop(self) -> None:
        """The last chunk on its way up is lost without a trace."""
        self._up.drop()

    def repeat(self) -> None:
        """The last chunk on its way up arrives twice."""
        self.injected += self._up.repeat()

    # --- the server -----------------------------------------------------------------------------------------

    def recognise(self, *, final: bool, commit: bool = True) -> None:
        """Recognition has heard all there is: a word a chunk since the last final."""
        heard_ms = self.server.audio_ms
        starts = range(self._heard_ms, heard_ms, 250)
        words = tuple(Word(f" w{start}", start / 1000, (start + 200) / 1000, 0.9) for start in starts)
        if words and final:
            result = Final(self._segment, words, heard_ms / 1000, "en")
            self.server.final(result)
            self.finals_sent.append(result.text)
            self._segment += 1
            self._heard_ms = heard_ms
        elif words:
            self.server.partial(Partial(self._segment, 0, words, 0, heard_ms / 1000))
        if commit and final:
            self.server.commit(self.server.next_seq, self.server.next_seq)
        self.server.set_credit(self.server.limits.credit_ms)
        self._serve()

    def measure(self) -> None:
        """The server's figures of the last second."""
        heard_s = self.server.audio_ms / 1000
        self.server.metrics(wire.Metrics(heard_s, heard_s, 0.0, 0, 0, 1.5, 0.25, 100.0, 4000.0))
        self._serve()

    def finish(self) -> None:
        """Once stopped, the session is saved."""
        if self.server.phase is Phase.FINALIZING and self.stopping:
            self.recognise(final=True)
            self.server.status()
            self.server.completed(
                wire.Summary(
                    duration_s=self.server.audio_ms / 1000,
                    words=3,
                    confidence=0.9,
                    latency=None,
                    received=wire.Received(),
                    file="transcripcion.txt",
                    complete=True,
                    language="en",
                )
            )
            self._serve()

    def restart(self) -> None:
        """The server is killed; another one goes on from what lies below its marks, and from its events."""
        if self.server.phase in TERMINAL:
            return
        self.cut(server_hears=False)
        old, resume_seq = self.server, self.server.resume_seq
        intake = old.below(resume_seq, old.committed_seq)
        state = ProtocolState(
            token_hashes=old.token_hashes,
            phase=old.phase,
            controls=old.controls_applied,
            at_seq=self._phase_at,
            frames=tuple(old.events_after(0)),
            committed_seq=old.committed_seq,
            intake=intake,
            header_seq=intake.first_seq if intake.stream >= 0 else None,
        )
        self.restarts += 1
        del self.delivered[resume_seq:]
        self.stopping = False
        self.server = self._make_server(state)
        self.server.take_up()
        self._serve()

    # --- time -----------------------------------------------------------------------------------------------

    def advance(self, duration_s: float) -> None:
        """Lets time pass, doing all that falls into it."""
        end = self.now + duration_s
        while (due := self._next()) is not None and due[0] <= end:
            self.now = max(self.now, due[0])
            due[1]()
        self.now = end

    def settle(self, limit_s: float = 400.0, *, in_blocks: bool = False) -> None:
        """A good link from now on, or none and blocks get through, until nothing is left to do."""
        self.reachable = self.answering = not in_blocks
        self.posting = "answered"
        self.delay_s = 0.05
        end = self.now + limit_s
        while self.now < end and not self.quiet():
            if self.client.given_up and self.client.phase not in TERMINAL:
                self.call("use_blocks" if in_blocks else "reconnect")
            self.advance(1.0)
            self.recognise(final=True)
            self.finish()

    def quiet(self) -> bool:
        """Whether the session is over on both sides, or all captured audio is where it belongs."""
        if self.client.summary is not None:
            return self.client.given_up
        ledger = self.client.ledger
        idle = not self._up.frames and not self._down.frames and not self.client.pending_controls
        there = self.client.link.value == "open" or (self.client.mode.value == "block" and not self._later)
        told = len(self.client.finals) == len(self.finals_sent)
        return idle and ledger.held == 0 and there and told and not self.stopping

    def _next(self) -> tuple[float, Callable[[], None]] | None:
        due: list[tuple[float, Callable[[], None]]] = list(self._later)
        if (at := self._up.arrival()) is not None:
            due.append((at, self._arrive_up))
        if (at := self._down.arrival()) is not None:
            due.append((at, self._arrive_down))
        if (at := self.client.next_deadline()) is not None:
            due.append((at, lambda: self.call("handle_timer")))
        if (at := self.server.next_deadline()) is not None:
            due.append((at, self._server_timer))
        return min(due, key=lambda item: item[0], default=None)

    # --- inside ---------------------------------------------------------------------------------------------

    def _make_server(self, restored: ProtocolState | None) -> ServerSession:
        return ServerSession(
            self.client.session_id,
            token_hash=token_hash("token-0"),
            new_token=lambda: f"token-{next(self._tokens)}",
            limits=self._limits,
            model="base",
            restored=restored,
        )

    def _open(self) -> None:
        self._disconnect()
        reachable, answering = self.reachable, self.answering
        attempt = self._links = self._links + 1

        def opened() -> None:
            if self._links != attempt:
                return
            if not reachable:
                self.call("link_lost", reason="refused", code=None)
                return
            self._link, self._silent = attempt, not answering
            if answering:
                self.server.link_opened(self.now, attempt)
                self._serve()
            self.call("link_opened")

        self._soon(opened)

    def _soon(self, act: Callable[[], Any]) -> None:
        """When the link's delay has passed."""

        def due() -> None:
            self._later.remove(entry)
            act()

        entry = (self.now + min(self.delay_s, 2.0), due)
        self._later.append(entry)

    def _post(self, send: ev.SendBlock) -> None:
        """A block on its way; refused, taken, or taken without the client being told."""
        posting = self.posting

        def arrive() -> None:
            if (refusal := _REFUSALS.get(posting)) is not None:
                self.call("block_failed", block=send.block, reason=posting, **refusal)
                return
            token, after, new = send.token, send.after, send.new
            receipt = self.server.receive_block(send.body, self.now, token=token, after=after, new=new)
            self._serve()
            if posting == "answered":
                self._soon(lambda: self.call("block_answered", block=send.block, receipt=receipt))

        self._soon(arrive)

    def _disconnect(self) -> None:
        """The client closes: what is on its way up still arrives, then the server hears of it."""
        if self._link is not None:
            link, self._link = self._link, None
            while self._up.frames:
                self._server_receive(self._up.frames.popleft()[1], link)
            self._up, self._down = Pipe(), Pipe()
            self.server.link_lost(link, self.now)
            self._serve()

    def _arrive_up(self) -> None:
        if self._link is not None:
            self._server_receive(self._up.frames.popleft()[1], self._link)

    def _server_receive(self, frame: str | bytes, link: int) -> None:
        if isinstance(frame, str):
            self.server.receive_text(frame, self.now, link)
        else:
            self.server.receive_bytes(frame, self.now, link)
        self._serve()

    def _arrive_down(self) -> None:
        frame = self._down.frames.popleft()[1]
        if isinstance(frame, str):
            self.call("receive_text", frame=frame)

    def _server_timer(self) -> None:
        self.server.handle_timer(self.now)
        self._serve()

    def _serve(self) -> None:
        """Drains the server."""
        events = self.server.events()
        for link, frame in self.server.data_to_send(self.now):
            if link == self._link and not self._silent:
                self._down.put(frame, self.now + self.delay_s)
        for event in events:
            match event:
                case ev.ChunkAccepted():
                    self._deliver(event)
                case ev.HoleDeclared(seq=seq, reason=reason):
                    self.delivered.append((seq, "audio" if reason == "disposed" else reason))
                case ev.ControlApplied(action=action, n=n, at_seq=at_seq):
                    self._phase_at = len(self.delivered)
                    self.stopping |= action == "stop"
                    if n not in {told for _, told, _, _ in self.controls}:  # a restarted server says it again
                        self.controls.append((action, n, at_seq, len(self.delivered)))
                case ev.CloseLink(link=link, code=code) if link == self._link:
                    self.cut(up=0, down=len(self._down.frames), code=code)
                case _:
                    pass

    def _deliver(self, chunk: ev.ChunkAccepted) -> None:
        seq = chunk.header.seq
        self.delivered.append((seq, "audio"))
        if chunk.payload != self.captured_payloads[seq]:
            raise AssertionError(f"chunk {seq} arrived changed")
        if chunk.first_payload and chunk.first_payload not in self.captured_payloads[:seq]:
            raise AssertionError(f"the header before chunk {seq} arrived changed")

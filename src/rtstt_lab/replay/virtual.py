"""A session in virtual time: the real client's and server's logic, the real recognizer, and no waiting.

Events happen in the order of an agenda of (time, action). The client sends at absolute deadlines, the link
lets through what the fault schedule allows, the engine's effects are executed by a real `SessionWorker`, and
what a decode cost is added to virtual time before its result is told. With a cost that is not measured, a run
is the same every time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtstt_lab.client.recorder import SessionRecorder
from rtstt_lab.client.result import SessionResult, final_of
from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.client.streaming import PATIENCE_S, Observer
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.errors import ConnectionFailedError, UsageError
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, CloseLink, OpenLink, SendBlock
from rtstt_lab.protocol.lifecycle import Link, Mode
from rtstt_lab.replay.agenda import Agenda
from rtstt_lab.replay.faults import Cut, FaultSchedule, Kill
from rtstt_lab.replay.link import VirtualNetwork
from rtstt_lab.replay.machine import Cost, Measured
from rtstt_lab.replay.server import FIRST_TOKEN, SESSION, MakeRecognizer, VirtualServer
from rtstt_lab.replay.tampering import Happened

_ENDLESS_S: Final = 3_600.0
"""No session lasts so long beyond its audio: retries, silence and grace times are all shorter."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One session of a replay, in virtual or in real time.

    Attributes:
        result: as the client holds it.
        process_cpu_s: CPU seconds that the server's side took.
        happened: faults that met something, as they came to pass; in real time only.
        suspensions: how often the server let go of the session, but for its journal; in virtual time only.
        kills: how often it was killed; in virtual time only.
    """

    result: SessionResult
    process_cpu_s: float
    happened: tuple[Happened, ...] = ()
    suspensions: int = 0
    kills: int = 0


def replay_virtually(
    chunks: Sequence[AudioChunk],
    recognizer: MakeRecognizer,
    *,
    model: str,
    started_at: datetime,
    language: str | None = None,
    faults: FaultSchedule | None = None,
    cost: Cost | None = None,
    seed: int = 0,
    client_settings: ClientSettings | None = None,
    server_settings: EngineSettings | None = None,
    observers: Sequence[Observer] = (),
) -> Replayed:
    """Streams a recording to a session's end.

    Args:
        chunks: of one recorder, in order.
        recognizer: makes it; while work costs too much of virtual time it decodes less and cheaper.
        model: its name, as told to the client.
        started_at: for the transcript; aware.
        language: ISO 639-1 code; ``None`` is detection.
        faults: what link, messages and server suffer; default nothing.
        cost: of each piece of work; default what it takes here.
        seed: of jitter and corruption.
        client_settings: of the client's patience.
        server_settings: of the server's bounds.
        observers: told every event of the client's session, with its virtual time.

    Raises:
        UsageError: a fault that needs a real server: one cannot be stopped here, only killed.
    """
    unreal = [fault for fault in faults.process_faults() if not isinstance(fault, Kill)] if faults else ()
    if unreal:
        raise UsageError("fault_process", fault=unreal[0].kind)
    session = _VirtualSession(
        recognizer,
        model=model,
        language=language,
        started_at=started_at,
        faults=faults or FaultSchedule(),
        cost=cost or Measured(),
        seed=seed,
        client_settings=client_settings or ClientSettings(block_patience_s=PATIENCE_S),
        server_settings=server_settings or EngineSettings(),
        observers=observers,
    )
    return session.run(chunks)


class _VirtualSession:
    def __init__(
        self,
        recognizer: MakeRecognizer,
        *,
        model: str,
        language: str | None,
        started_at: datetime,
        faults: FaultSchedule,
        cost: Cost,
        seed: int,
        client_settings: ClientSettings,
        server_settings: EngineSettings,
        observers: Sequence[Observer],
    ) -> None:
        self._agenda = agenda = Agenda()
        self._model = model
        self._client = ClientSession(SESSION, FIRST_TOKEN, settings=client_settings)
        self._server = VirtualServer(
            agenda,
            recognizer,
            model=model,
            language=language,
            started_at=started_at,
            settings=server_settings,
            cost=cost,
        )
        self._kills = [fault for fault in faults.faults if isinstance(fault, Kill)]
        self._network = VirtualNetwork(agenda, self._client, self._server, _of_the_link(faults), seed=seed)
        self._recorder = SessionRecorder()
        self._observers = observers
        self._origin_s: float | None = None
        self._stopped_s = math.nan

    def run(self, chunks: Sequence[AudioChunk]) -> Replayed:
        self._chunks = chunks
        self._client.connect(0.0)
        self._drain()
        try:
            while not self._over():
                self._step()
                if self._agenda.now_s > _ENDLESS_S + sum(chunk.duration_ms for chunk in chunks) / 1000:
                    raise RuntimeError("the session does not end")
        finally:
            self._server.close()
        server = self._server
        return Replayed(self._result(), server.cpu_s, suspensions=server.suspensions, kills=server.kills)

    def _over(self) -> bool:
        done = self._client.over and self._client.mode is Mode.STREAM
        return done or self._client.given_up

    def _step(self) -> None:
        """The earliest of an action, the client's timer and the engine's timer."""
        deadlines = (self._client.next_deadline(), self._server.next_deadline())
        client_s, server_s = (math.inf if deadline is None else deadline for deadline in deadlines)
        if self._agenda.next_s <= min(client_s, server_s):
            self._agenda.step()
        elif client_s <= server_s:
            self._agenda.pass_to(client_s)
            self._client.handle_timer(self._agenda.now_s)
        else:
            self._agenda.pass_to(server_s)
            self._server.handle_timer(self._agenda.now_s)
        self._drain()

    # --- the person and the microphone
    # ------------------------------------------------------------------------

    def _begin(self) -> None:
        """The server has answered for the first time: recording begins."""
        now = self._origin_s = self._agenda.now_s
        for fault in self._kills:  # before its links break: a dead server hears nothing of that
            self._agenda.at(now + fault.at_s, self._server.kill)
        self._network.begin(now)
        self._press("start")
        audio_ms = 0
        for chunk in self._chunks:
            began_ms, audio_ms = audio_ms, audio_ms + chunk.duration_ms
            self._agenda.at(
                now + audio_ms / 1000,
                lambda chunk=chunk, began_ms=began_ms: self._send(chunk, began_ms),  # type: ignore[misc]
            )
        self._agenda.at(now + audio_ms / 1000, self._stop)

    def _send(self, chunk: AudioChunk, began_ms: int) -> None:
        now = self._agenda.now_s
        if self._over() or self._origin_s is None:
            return
        began_s = self._origin_s + began_ms / 1000
        seq = self._client.send_audio(
            chunk.payload,
            duration_ms=chunk.duration_ms,
            captured_ms=round(began_s * 1000),
            stream=chunk.stream,
            mime=chunk.mime,
            now=now,
        )
        self._recorder.captured(seq, chunk, began_s=began_s, audio_s=began_ms / 1000, now=now)

    def _stop(self) -> None:
        self._stopped_s = self._agenda.now_s
        self._network.stopped()
        if not self._over():
            self._press("stop")

    def _press(self, action: str) -> None:
        getattr(self._client, action)(self._agenda.now_s)
        self._recorder.control(action, self._agenda.now_s)

    # --- executing what both ends want
    # ------------------------------------------------------------------------

    def _drain(self) -> None:
        while self._drain_client() or self._drain_server():
            pass

    def _drain_client(self) -> bool:
        now = self._agenda.now_s
        frames, events = self._client.data_to_send(now), self._client.events()
        for frame in frames:
            if self._network.connected:
                self._recorder.sent(frame, now)
                self._network.send_to_server(frame)
        for event in events:
            self._take(event, now)
        answered = self._client.link is Link.OPEN or self._client.mode is Mode.BLOCK
        if self._origin_s is None and answered:
            self._begin()
            return True
        return bool(frames or events)

    def _take(self, event: ClientEvent, now: float) -> None:
        self._recorder.observe(now, event)
        for observer in self._observers:
            observer(now, event)
        match event:
            case OpenLink():
                self._network.open()
            case SendBlock():
                self._network.post(event)
            case CloseLink():
                self._network.close_by_client()

    def _drain_server(self) -> bool:
        (closings, frames), now = self._server.drain(), self._agenda.now_s
        for closing in closings:
            self._agenda.at(
                now,
                lambda closing=closing: self._network.close_by_server(  # type: ignore[misc]
                    closing.link, closing.code, closing.reason
                ),
            )
        for link, frame in frames:
            self._network.send_to_client(link, frame)
        return bool(closings or frames)

    def _result(self) -> SessionResult:
        client, origin_s = self._client, self._origin_s or 0.0
        finals = sorted(map(final_of, client.finals), key=lambda final: final.words[0].start_s)
        summary = client.summary
        language = summary.language if summary else next((f.language for f in finals), None)
        complete = summary is not None and summary.complete
        return SessionResult(
            session_id=client.session_id,
            model=self._model,
            language=language,
            started_monotonic_s=origin_s,
            stopped_s=self._stopped_s - origin_s,
            finals=tuple(finals),
            ledger=client.ledger,
            summary=summary,
            error=None if complete else ConnectionFailedError("connection_given_up"),
            events=self._recorder.events(),
        )


def _of_the_link(faults: FaultSchedule) -> FaultSchedule:
    """What the network suffers: of a server that is dead, its connections break, and new ones are refused."""
    of_the_link = (
        Cut(at_s=fault.at_s, duration_s=fault.duration_s) if isinstance(fault, Kill) else fault
        for fault in faults.faults
    )
    return FaultSchedule.of(*of_the_link, after_stop=faults.after_stop)

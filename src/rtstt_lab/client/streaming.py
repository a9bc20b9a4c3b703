"""Executes `ClientSession` on asyncio and `websockets`: feed, drain, write, arm a timer."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from rtstt_lab.client.api import SessionApi, websocket_url
from rtstt_lab.client.link import SocketLink
from rtstt_lab.client.posting import BlockPost, wait_of
from rtstt_lab.client.recorder import SessionRecorder
from rtstt_lab.client.refusals import code_of, error_of
from rtstt_lab.client.result import SessionResult, final_of
from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.client.tls import tls_context
from rtstt_lab.errors import AudioError, ConnectionFailedError, RtsttError
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.client_link import ClientSettings
from rtstt_lab.protocol.events import ClientEvent, CloseLink, ErrorReceived, OpenLink, SendBlock
from rtstt_lab.protocol.lifecycle import Link, Mode, Phase
from rtstt_lab.protocol.messages import BlockReceipt, CreatedSession, ServerError

Observer: TypeAlias = Callable[[float, ClientEvent], None]
"""Told (seconds of the client's clock, event), on the event loop; must not block; its errors end `run`."""
Passing: TypeAlias = Callable[[str | bytes, float], Iterable[str | bytes]]
"""(frame of the session, seconds of the client's clock) → the frames that the socket gets for it."""

AHEAD_S: Final = 20.0
"""So much audio may wait at the client when a recording is sent as fast as it is taken."""


def unchanged(frame: str | bytes, _now: float) -> Iterable[str | bytes]:
    """A `Passing` that lets everything through."""
    return (frame,)


PATIENCE_S: Final = 600.0
"""A program waits no longer for a server that does not answer; a page does."""


class StreamingClient:
    """One session with a server: made, streamed, finished. An instance runs once.

    The buttons (`pause`, `resume`, `stop`, `flush`, `reconnect`) may be pressed at any time while `run`
    goes on, from the same event loop.

    Args:
        url: of the server, ``http`` or ``https``.
        token: opens the server.
        cafile: certificates (PEM) of the authorities that may vouch for an ``https`` server, and no others;
            without it the machine's own, ``SSL_CERT_FILE`` included (`tls_context`).
        model: the server's default if not given.
        language: ISO 639-1 code; ``None`` is detection.
        prompt: words that are likely to occur.
        settings: of the session's timing and bounds; by default a server that does not answer for ten
            minutes, over HTTP neither, is given up.
        observers: told every event of the session.
        passing: stands between the session and its socket; experiments let things go wrong there.
        clock: monotonic seconds; a source that names ``began_s`` must use the same.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        cafile: Path | None = None,
        model: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        settings: ClientSettings | None = None,
        observers: Sequence[Observer] = (),
        passing: Passing = unchanged,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._token = token
        self._cafile = cafile
        self._tls: ssl.SSLContext | None = None
        self._wishes = {"model": model, "language": language, "prompt": prompt}
        self._settings = settings or ClientSettings(block_patience_s=PATIENCE_S)
        self._observers = tuple(observers)
        self._passing = passing
        self._clock = clock
        self._recorder = SessionRecorder()
        self._session: ClientSession | None = None
        self._trouble: ServerError | None = None
        self._fault: BaseException | None = None
        self._socket_url = self._model = ""
        self._link: SocketLink | None = None
        self._blocks: BlockPost | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        self._epoch_s = self._stopped_s = math.nan
        self._audio_ms = 0

    @property
    def session(self) -> ClientSession:
        """The session's state machine, to look at.

        Raises:
            RuntimeError: before `run` has made the session.
        """
        if self._session is None:
            raise RuntimeError("run() has not made the session yet")
        return self._session

    async def run(self, source: AsyncIterator[AudioChunk], *, ahead_s: float = math.inf) -> SessionResult:
        """Makes the session, streams the source to its end (or until `stop`), and waits for the last word.

        The source is first asked when the server has answered. What it brings during a pause is not recorded.

        Args:
            source: of chunks; a live one sets the pace.
            ahead_s: the source is not asked for more while so much audio has not been received by the server.

        Returns:
            All that was recognised; `SessionResult.error` says what ended it before its time.

        Raises:
            ServiceError: no session could be made.
            LanguageError: a language that the model does not know.
            ModelError: a model that the server does not have.
            UsageError: an address that is none, or authorities that can't be read.
        """
        self._tls = tls_context(self._url, self._cafile)
        async with SessionApi(self._url, self._token, tls=self._tls) as api:
            self._begin(await api.create(**self._wishes))
        try:
            self.session.connect(self._clock())
            self._drain()
            await self._until(lambda: self._ended or self._stopping or self._answered)
            if not self._ended:
                await self._record(source, ahead_s)
            await self._until(lambda: self._ended)
        finally:
            await self._close()
        return self._result()

    def pause(self) -> None:
        """What follows is not recorded, until `resume`."""
        self._press("pause")

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._press("resume")

    def flush(self) -> None:
        """Asks for what was said so far to be made final now."""
        self._press("flush")

    def stop(self) -> None:
        """Ends the recording; `run` returns when the last word has come."""
        self._stopping = True
        self._changed.set()

    def reconnect(self) -> None:
        """A new attempt by hand; ends block mode."""
        self.session.reconnect(self._clock())
        self._drain()

    def use_blocks(self) -> None:
        """Leaves the WebSocket: audio goes in blocks over HTTP, until `reconnect`."""
        self.session.use_blocks(self._clock())
        self._drain()

    # --- recording -----------------------------------------------------------------------------------------

    async def _record(self, source: AsyncIterator[AudioChunk], ahead_s: float) -> None:
        """From start to stop: until the source ends, somebody presses stop, or the session is over."""
        self._press("start")
        pump = asyncio.create_task(self._pump(source, ahead_s))
        pump.add_done_callback(lambda _: self._changed.set())
        try:
            await self._until(lambda: pump.done() or self._stopping or self._ended)
        finally:
            pump.cancel()
            await asyncio.wait([pump])
        self._stopped_s = self._clock()
        if not self._ended:
            self._press("stop")
        if not pump.cancelled() and (error := pump.exception()):
            self._fault = error

    async def _pump(self, source: AsyncIterator[AudioChunk], ahead_s: float) -> None:
        async for chunk in source:
            now = self._clock()
            if self.session.phase is Phase.RECORDING:
                began_s = now - chunk.duration_ms / 1000 if chunk.began_s is None else chunk.began_s
                self._send(chunk, began_s, now)
            await asyncio.sleep(0)  # a source that never waits would not let the socket's tasks run
            await self._until(lambda: self._stopping or self.session.held_ms < ahead_s * 1000)
            if self._stopping:
                return

    def _send(self, chunk: AudioChunk, began_s: float, now: float) -> None:
        seq = self.session.send_audio(
            chunk.payload,
            duration_ms=chunk.duration_ms,
            captured_ms=self.session.clock_ms(began_s),
            stream=chunk.stream,
            mime=chunk.mime,
            now=now,
        )
        self._recorder.captured(seq, chunk, began_s=began_s, audio_s=self._audio_ms / 1000, now=now)
        self._audio_ms += chunk.duration_ms
        self._drain()

    def _press(self, action: Literal["start", "pause", "resume", "stop", "flush"]) -> None:
        now = self._clock()
        getattr(self.session, action)(now)
        self._recorder.control(action, now)
        self._drain()

    # --- executing the session -----------------------------------------------------------------------------

    def _begin(self, created: CreatedSession) -> None:
        self._session = ClientSession(created.session_id, created.session_token, settings=self._settings)
        self._socket_url, self._model = websocket_url(self._url, created.ws_path), created.model
        self._epoch_s = self._clock()

    @property
    def _answered(self) -> bool:
        """The server has said something, or nobody waits for that any more."""
        return self.session.link is Link.OPEN or self.session.mode is Mode.BLOCK

    @property
    def _ended(self) -> bool:
        over = self.session.over and self.session.mode is Mode.STREAM
        return over or self.session.given_up or self._fault is not None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _drain(self) -> None:
        """Executes what the session wants done; to be called after every call of it."""
        now = self._clock()
        while True:
            frames, events = self.session.data_to_send(now), self.session.events()
            if not frames and not events:
                break
            for frame in frames:
                if self._link is not None:
                    self._recorder.sent(frame, now)
                    for passed in self._passing(frame, now):
                        self._link.put(passed)
            for event in events:
                self._take(event, now)
        self._arm()
        self._changed.set()

    def _take(self, event: ClientEvent, now: float) -> None:
        self._recorder.observe(now, event)
        match event:
            case OpenLink():
                self._open()
            case SendBlock():
                self._post(event)
            case CloseLink(code=code, reason=reason) if self._link is not None:
                self._link.close(code, reason)
                self._link = None
            case ErrorReceived(message):
                self._trouble = message
        for observer in self._observers:
            try:
                observer(now, event)
            except Exception as error:  # noqa: BLE001 - raised by `run`; here it would pass for the link's
                self._fault = self._fault or error

    def _post(self, block: SendBlock) -> None:
        if self._blocks is None:
            api = SessionApi(self._url, tls=self._tls, timeout_s=self._settings.block_timeout_s)
            self._blocks = BlockPost(api, self.session.session_id, self._posted)
        self._blocks.post(block).add_done_callback(self._served)

    def _posted(self, block: SendBlock, outcome: BlockReceipt | RtsttError) -> None:
        now = self._clock()
        if isinstance(outcome, BlockReceipt):
            self.session.block_answered(block.block, outcome, now)
        else:
            wait_s, code = wait_of(outcome), code_of(outcome)
            self.session.block_failed(block.block, str(outcome), now, retry_after_s=wait_s, code=code)
        self._drain()

    def _open(self) -> None:
        link = SocketLink(
            self._socket_url,
            tls=self._tls,
            connect_timeout_s=self._settings.connect_timeout_s,
            opened=lambda: self._heard(link, self.session.link_opened),
            received=lambda frame: self._heard(link, lambda now: self._receive(frame, now)),
        )
        self._link = link
        task = asyncio.create_task(self._serve(link))
        self._links.add(task)
        task.add_done_callback(self._served)

    async def _serve(self, link: SocketLink) -> None:
        reason, code = await link.run()
        self._heard(link, lambda now: self.session.link_lost(reason, now, code))

    def _served(self, task: asyncio.Task[None]) -> None:
        self._links.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._fault = error
            self._changed.set()

    def _heard(self, link: SocketLink, tell: Callable[[float], None]) -> None:
        """Tells the session something of a socket, unless it has closed that one itself."""
        if link is self._link:
            tell(self._clock())
            self._drain()

    def _receive(self, frame: str | bytes, now: float) -> None:
        if isinstance(frame, str):
            self.session.receive_text(frame, now)
        else:
            self.session.receive_bytes(frame, now)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_s = self.session.next_deadline()
        if deadline_s is not None:
            delay_s = max(0.0, deadline_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.session.handle_timer(self._clock())
        self._drain()

    async def _close(self) -> None:
        self.session.close(self._clock())
        self._drain()
        if self._blocks is not None:
            await self._blocks.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.close(1000, "closed")
            self._link = None
        if self._links:
            await asyncio.wait(self._links)

    def _result(self) -> SessionResult:
        if self._fault is not None:
            raise self._fault
        session, began_s = self.session, self._recorder.began_s
        origin_s = self._epoch_s if began_s is None else began_s
        finals = sorted(map(final_of, session.finals), key=lambda final: final.words[0].start_s)
        return SessionResult(
            session_id=session.session_id,
            model=session.created.model if session.created else self._model,
            language=self._language(),
            started_monotonic_s=origin_s,
            stopped_s=self._stopped_s - origin_s,
            finals=tuple(finals),
            ledger=session.ledger,
            summary=session.summary,
            error=self._error(),
            events=self._recorder.events(),
        )

    def _language(self) -> str | None:
        session = self.session
        heard = (final.language for final in reversed(session.finals))
        told = session.summary.language if session.summary else None
        return told or next(heard, session.created.language if session.created else None)

    def _error(self) -> RtsttError | None:
        summary = self.session.summary
        if summary is not None and summary.complete:
            return None
        if self._trouble is not None:
            return error_of(self._trouble.code, self._trouble.message, self._trouble.parameters)
        if summary is not None:
            return AudioError("audio_incomplete", lost=self.session.ledger.lost)
        return ConnectionFailedError("connection_given_up")

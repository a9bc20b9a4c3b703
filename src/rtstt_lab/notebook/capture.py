"""The microphone in the page, as a widget: what is heard comes back as attributes that one can observe."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from typing import Final as Constant

import anywidget
import ipywebrtc
import msgspec
import pandas as pd
import traitlets
from ipywidgets import widget_serialization

from rtstt_lab.client.api import SessionApi
from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import final_of
from rtstt_lab.errors import RtsttError, SessionNotFoundError
from rtstt_lab.notebook.background import BackgroundLoop
from rtstt_lab.notebook.bundle import bundle, stylesheet
from rtstt_lab.notebook.servers import ensure_running
from rtstt_lab.protocol.lifecycle import Mode, Shown
from rtstt_lab.protocol.messages import CreatedSession, LatencyFigures, TranscriptionFinal
from rtstt_lab.texts import LANGUAGES, preferred_language
from rtstt_lab.transcript import Transcript

_VOICE: Constant = {
    "channelCount": 1,
    "sampleRate": 16_000,
    "echoCancellation": True,
    "noiseSuppression": True,
}

log = logging.getLogger(__name__)


class _Mirrored(msgspec.Struct):
    """What the page tells: its present view; of the finals only those that it has not told yet.

    Attributes:
        start: place of the first of `finals` among all of the session.
    """

    state: Shown
    mode: Mode
    partial: str
    file: str
    complete: bool
    audio_s: float
    alerts: dict[str, float]
    latency: LatencyFigures | None
    start: int
    finals: tuple[TranscriptionFinal, ...]


class MicCapture(anywidget.AnyWidget):
    """Start, Pause, Resume and Stop for a microphone, the words as they come, and the session's state.

    Recording and recognition go on between page and server alone; a busy kernel holds neither up. What the
    page knows is told to Python at most ten times a second, in messages: of these attributes only those that
    are marked *saved* are widget state, which a notebook may keep. No token, no audio, no transcript is among
    them.

    Args:
        server: of this kernel; need not be started yet.
        model: of the next session; ``None`` takes the server's.
        language: ISO 639-1 code of the next session; ``None`` detects it.
        stream: an ipywebrtc stream instead of the microphone, e.g. ``AudioStream.from_file``;
            it is played once.
        ui_language: "en" or "es"; the locale's by default.

    Attributes:
        background: runs what Python has to do beside the kernel; its errors are shown in the widget.
        stream: (saved) where the sound comes from.
        ui_language: (saved) of the texts.
        timeslice_ms: (saved) length of a chunk, 200 to 500 ms (D1).
        bits_per_second: (saved) of the recorder's Opus.
        session_id: of the present session; empty before there is one.
        state: one of the eight, as `Shown` spells them.
        mode: "stream", or "block": what is recorded goes to the server in pieces over HTTP (R3).
        partial: the text that may still change.
        finals: closed segments, in order.
        latency: figures of M1, ``None`` before the first.
        alerts: those that are on, by name, with the figure behind each: latency in s (A1), memory in MB (A2),
            reconnections (A3).
        audio_s: recorded so far, without pauses.
        file: where the transcript was saved; empty before.
        complete: it was saved to its end, and nothing is missing.
        error: the newest failure on Python's side.
    """

    _esm = bundle()
    _css = stylesheet()

    stream = traitlets.Instance(ipywebrtc.MediaStream).tag(sync=True, **widget_serialization)
    ui_language = traitlets.Enum(LANGUAGES, default_value="en").tag(sync=True)
    timeslice_ms = traitlets.Int(250, min=200, max=500).tag(sync=True)
    bits_per_second = traitlets.Int(24_000, min=6_000).tag(sync=True)

    session_id = traitlets.Unicode()
    state = traitlets.Unicode(Shown.CONNECTING.value)
    mode = traitlets.Unicode(Mode.STREAM.value)
    partial = traitlets.Unicode()
    finals: Any = traitlets.Tuple()
    latency: Any = traitlets.Instance(LatencyFigures, allow_none=True)
    alerts: Any = traitlets.Dict()
    audio_s = traitlets.Float()
    file = traitlets.Unicode()
    complete = traitlets.Bool()
    error: Any = traitlets.Instance(RtsttError, allow_none=True)

    def __init__(
        self,
        server: LocalServer,
        *,
        model: str | None = None,
        language: str | None = None,
        stream: ipywebrtc.MediaStream | None = None,
        ui_language: str | None = None,
        **traits: Any,
    ) -> None:
        self.server = server
        self.model = model
        self.language = language
        self._own_stream = stream is None
        self._path = ""
        self._origin: str | None = None
        self._exposed = False
        self._started_at = datetime.now().astimezone()
        self._made_with = ""
        self.background = BackgroundLoop(self._show_error)
        if isinstance(stream, ipywebrtc.AudioStream):
            stream.audio.loop = False  # its end is the end of the recording
        super().__init__(
            stream=stream or _microphone(),
            ui_language=ui_language or preferred_language(os.environ),
            **traits,
        )
        self.on_msg(self._heard)

    @property
    def text(self) -> str:
        """What is final so far, a line a segment."""
        return "\n".join(final.text for final in self.finals)

    def renew(self) -> None:
        """Makes a new session with the present `model` and `language`."""
        self.background.run(self._grant(renew=True))

    def words(self) -> pd.DataFrame:
        """Every final word, a row each: word, start_s, end_s (on the audio clock), probability, segment."""
        rows = [
            (word.text.strip(), word.start_ms / 1000, word.end_ms / 1000, word.probability, final.segment)
            for final in self.finals
            for word in final.words
        ]
        return pd.DataFrame(rows, columns=["word", "start_s", "end_s", "probability", "segment"])

    async def status(self) -> dict[str, Any]:
        """State, statistics and figures of the present session, as the server has them."""
        async with self._api() as api:
            return await api.status(self.session_id)

    def transcript(self) -> Transcript:
        """What is final by now, at any time, also after an error; `render` writes it in any of its forms."""
        finals = tuple(map(final_of, self.finals))
        return Transcript(
            session_id=self.session_id,
            started_at=self._started_at,
            finals=finals,
            duration_s=self.audio_s,
            mean_latency_s=self.latency.mean_ms / 1000 if self.latency else None,
            model=self._made_with,
            language=finals[-1].language if finals else self.language,
            complete=self.complete,
        )

    @contextmanager
    def errors_shown(self) -> Iterator[None]:
        """For callbacks: what is raised inside is shown in the widget, since nobody sees it elsewhere."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, a person must see it
            self._show_error(error)

    def close(self) -> None:
        """Gives the microphone back; the server settles and saves what was said."""
        self.send({"type": "ending"})
        super().close()
        if self._own_stream:
            self.stream.close()
        self.background.close()

    # --- what the page asks for ---------------------------------------------------------------------------

    def _heard(self, _widget: object, message: Mapping[str, Any], _buffers: object) -> None:
        with self.errors_shown():
            self._answer(message)

    def _answer(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "access" | "renew" as wish:
                self._origin = message.get("origin")
                self.background.run(self._grant(renew=wish == "renew"))
            case "stream":
                # The old one has no microphone to give back, and would complain of that if it were closed.
                self.stream = _microphone()
                self.send({"type": "stream"})
            case "mirror":
                self._reflect(message)

    async def _grant(self, *, renew: bool) -> None:
        """Tells the page where its session is: a new one, or its present one if the page was loaded again."""
        if self.state == Shown.COMPLETED and not renew:
            self.send({"type": "finished", **self._past()})
            return
        await asyncio.to_thread(ensure_running, self.server)
        async with self._api() as api:
            token = None if renew or not self.session_id else await self._token(api)
            if token is None and self.finals and not renew:  # a page that was loaded again loses no text
                self.state, self.partial = Shown.ERROR.value, ""
                self.send({"type": "finished", **self._past(), "shown": self.state, "phase": "failed"})
                return
            if token is None:
                created = await api.create(model=self.model, language=self.language, origin=self._origin)
                self._path, token = created.ws_path, created.session_token
                self._exposed = created.exposed
                self._new_stream()
                self._begin(created)
        self.send(
            {
                "type": "access",
                "session_id": self.session_id,
                "token": token,
                "port": self.server.port,
                "path": self._path,
                "exposed": self._exposed,
            }
        )

    def _past(self) -> dict[str, Any]:
        kept = {
            "session_id": self.session_id,
            "audio_ms": self.audio_s * 1000,
            "summary": {"file": self.file},
        }
        return {**kept, **msgspec.to_builtins({"finals": self.finals, "latency": self.latency})}

    async def _token(self, api: SessionApi) -> str | None:
        try:
            return await api.renew_token(self.session_id, self._origin)
        except SessionNotFoundError:  # the server was started anew
            return None

    def _new_stream(self) -> None:
        """A CameraStream keeps its microphone open, and remembers a refusal, until it is closed."""
        if self._own_stream:
            old, self.stream = self.stream, _microphone()
            old.close()

    def _begin(self, created: CreatedSession) -> None:
        self.finals, self.partial, self.latency, self.alerts = (), "", None, {}
        self.mode = Mode.STREAM.value
        self.audio_s, self.file, self.complete, self.error = 0.0, "", False, None
        self._started_at = datetime.now().astimezone()
        self._made_with = created.model
        self.session_id = created.session_id

    def _reflect(self, message: Mapping[str, Any]) -> None:
        told = msgspec.convert(message, _Mirrored)
        with self.hold_trait_notifications():
            self.state, self.mode = told.state.value, told.mode.value
            self.partial, self.audio_s = told.partial, told.audio_s
            self.alerts, self.latency = told.alerts, told.latency
            self.file, self.complete = told.file, told.complete
            self.finals = (*self.finals[: told.start], *told.finals)

    def _show_error(self, error: Exception) -> None:
        """Says it in the page: nobody sees the traceback of a thread or of a widget's callback."""
        if not isinstance(error, RtsttError):
            log.error("the notebook's side of a session failed", exc_info=error)
            error = RtsttError("notebook_failed", reason=str(error) or type(error).__name__)
        self.error = error
        parameters = {
            name: value if isinstance(value, int | float) else str(value)
            for name, value in error.parameters.items()
        }
        self.send({"type": "problem", "key": error.key, "parameters": parameters})

    def _api(self) -> SessionApi:
        return SessionApi(self.server.url, self.server.token)


def _microphone() -> ipywebrtc.CameraStream:
    return ipywebrtc.CameraStream(constraints={"audio": _VOICE, "video": False})

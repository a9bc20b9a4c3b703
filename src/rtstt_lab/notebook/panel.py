"""The live demo: settings, the capture widget, the machine's meters and the export, in one panel."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any
from typing import Final as Constant

import ipywebrtc
import ipywidgets as widgets
import msgspec
import pandas as pd

from rtstt_lab.client.local import LocalServer
from rtstt_lab.errors import ServiceError
from rtstt_lab.notebook.capture import MicCapture
from rtstt_lab.notebook.servers import kernel_server
from rtstt_lab.protocol.lifecycle import Shown
from rtstt_lab.protocol.messages import Metrics, Received
from rtstt_lab.recognition.models import LANGUAGES, ModelStore
from rtstt_lab.texts import preferred_language, text
from rtstt_lab.transcript import render

_FOLLOW_EVERY_S: Constant = 1.0
_FORMATS: Constant = ("txt", "json", "srt", "vtt", "csv")
_NAMED_LANGUAGES: Constant = {"es": "Español", "en": "English"}
_UNUSED: Constant = {Shown.CONNECTING, Shown.CONNECTED}


class LiveDemo(widgets.VBox):  # type: ignore[misc] # ipywidgets ships no types
    """Speak, and read what you said; the last line of a cell shows it.

    The server is a child process of the kernel, shared by all panels that save to the same folder; it starts
    when the panel is first seen in a browser. Model and language apply from the next session on.

    Args:
        model: ``tiny.en``, ``base``, any name or folder that `ModelStore.resolve` takes.
        language: ISO 639-1 code, or ``auto`` to detect it.
        ui_language: "en" or "es"; the locale's by default.
        output: folder of the transcripts.
        stream: an ipywebrtc stream instead of the microphone, e.g. ``AudioStream.from_file("talk.wav")``.
        server: another one than the kernel's own.

    Attributes:
        capture: the capture widget; its attributes can be observed.
    """

    def __init__(
        self,
        model: str = "base",
        language: str = "auto",
        ui_language: str | None = None,
        *,
        output: str | Path = "output",
        stream: ipywebrtc.MediaStream | None = None,
        server: LocalServer | None = None,
    ) -> None:
        self._ui_language = ui_language or preferred_language(os.environ)
        self._output = Path(output).resolve()
        self.capture = MicCapture(
            server or kernel_server(self._output),
            model=model,
            language=_code(language),
            stream=stream,
            ui_language=self._ui_language,
        )
        self._model = self._dropdown("model", _model_options(model), model)
        self._language = self._dropdown("language", self._language_options(), language)
        self._note = widgets.HTML()
        self._server_note = ""
        self._restarts_told = self.capture.server.restarts
        self._meters = widgets.HTML().add_class("rtstt-meters")
        self._format = widgets.Dropdown(options=_FORMATS, layout=widgets.Layout(width="5em"))
        self._export = widgets.Button(description=self._text("export"), icon="download", disabled=True)
        self._exported = widgets.HTML()
        super().__init__(
            [
                widgets.HBox([self._model, self._language, self._note]).add_class("rtstt-settings"),
                self.capture,
                widgets.HBox([self._meters, widgets.HBox([self._format, self._export])]).add_class(
                    "rtstt-footer"
                ),
                self._exported,
            ]
        )
        self.add_class("rtstt-panel")
        self._model.observe(self._settings_changed, "value")
        self._language.observe(self._settings_changed, "value")
        self.capture.observe(self._session_changed, "session_id")
        self._export.on_click(self._export_clicked)
        self.capture.background.run(self._follow())

    @property
    def text(self) -> str:
        """What is final so far, a line a segment."""
        return self.capture.text

    def words(self) -> pd.DataFrame:
        """Every final word, a row each: word, start_s, end_s (on the audio clock), probability, segment."""
        return self.capture.words()

    @property
    def file(self) -> Path | None:
        """Where the transcript was saved; ``None`` before."""
        return Path(self.capture.file) if self.capture.file else None

    def export(self, kind: str = "json") -> Path:
        """Writes what is final by now beside the transcript; at any time, also after an error.

        Args:
            kind: txt, json (words, times, confidence), srt, vtt or csv.

        Returns:
            The file: of the transcript's name, or of the session's as long as there is none.
        """
        saved = self.file or self._output / self.capture.session_id
        file = saved.with_suffix(f".{kind}")
        if file != self.file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(render(self.capture.transcript(), kind, self._ui_language), "utf-8")
        return file

    def close(self) -> None:
        """Gives the microphone back; the server settles and saves what was said."""
        self.capture.close()
        super().close()

    # --- settings -----------------------------------------------------------------------------------------

    def _settings_changed(self, _change: object) -> None:
        self.capture.model = self._model.value
        self.capture.language = _code(self._language.value)
        if self.capture.session_id and Shown(self.capture.state) in _UNUSED:
            self.capture.renew()
        else:
            self._note.value = escape(self._text("applies_next"))

    def _session_changed(self, _change: object) -> None:
        self._note.value = self._exported.value = self._meters.value = ""
        self._export.disabled = False

    # --- what the server tells ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Draws the meters once a second, also while a cell keeps the kernel busy."""
        while True:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            self._tell_of_server()
            if self.capture.session_id and self.capture.server.running:
                with suppress(ServiceError):  # a server that is just ending; the capture widget says so
                    self._draw_meters(await self.capture.status())

    def _tell_of_server(self) -> None:
        """Says once what becomes of a server that died; its sessions go on when it is back."""
        server = self.capture.server
        if server.given_up:
            note = "server_given_up"
        elif server.restarting:
            note = "server_died"
        else:
            note = "server_restarted" if server.restarts > self._restarts_told else ""
            self._restarts_told = server.restarts
        if note and note != self._server_note:
            self._note.value = escape(self._text(note))
        self._server_note = note

    def _draw_meters(self, status: dict[str, Any]) -> None:
        if not status.get("metrics"):
            return
        metrics = msgspec.convert(status["metrics"], Metrics)
        received = msgspec.convert(status["received"], Received)
        latency = self.capture.latency
        figures = {
            "meter_cpu": f"{metrics.cpu_percent:.0f} %",
            "meter_server": f"{metrics.rss_mb:.0f} MB",
            "meter_ram": f"{metrics.ram_available_mb / 1024:.1f} GB",
            "meter_latency": "–" if latency is None else f"{latency.p95_ms / 1000:.1f} s",
            "meter_loss": f"{received.lost}",
            "meter_confidence": "–" if metrics.confidence is None else f"{metrics.confidence:.0%}",
        }
        self._meters.value = "".join(
            f"<span>{escape(self._text(key))} <b>{figure}</b></span>" for key, figure in figures.items()
        )

    def _export_clicked(self, _button: object) -> None:
        with self.capture.errors_shown():
            file = self.export(self._format.value)
            self._exported.value = escape(self._text("exported", file=file))

    # --- parts --------------------------------------------------------------------------------------------

    def _dropdown(self, key: str, options: list[tuple[str, str]], value: str) -> widgets.Dropdown:
        return widgets.Dropdown(options=options, value=value, description=self._text(key))

    def _language_options(self) -> list[tuple[str, str]]:
        codes = [*_NAMED_LANGUAGES, *(code for code in LANGUAGES if code not in _NAMED_LANGUAGES)]
        return [
            (self._text("language_auto"), "auto"),
            *((_NAMED_LANGUAGES.get(code, code), code) for code in codes),
        ]

    def _text(self, key: str, **parameters: object) -> str:
        return text(f"notebook.{key}", self._ui_language, **parameters)


def _code(language: str) -> str | None:
    return None if language == "auto" else language


def _model_options(chosen: str) -> list[tuple[str, str]]:
    """Names of models, those that are here first; an arrow marks those that must be fetched."""
    options = [(info.name if info.available else f"{info.name} ↓", info.name) for info in ModelStore().list()]
    return options if any(chosen == name for _, name in options) else [(chosen, chosen), *options]

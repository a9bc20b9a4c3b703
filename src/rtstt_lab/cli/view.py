"""Live text: partials are overwritten in place, finals settle; without a terminal there are finals only."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from rtstt_lab.cli.localized import say
from rtstt_lab.protocol.events import (
    AlertRaised,
    ClientEvent,
    FinalReceived,
    PartialReceived,
    StateChanged,
    StatusReceived,
)
from rtstt_lab.protocol.lifecycle import Mode, Shown
from rtstt_lab.protocol.messages import Alert, Status, TranscriptionPartial
from rtstt_lab.recognition.models import Progress as OnProgress

_ALERTS: Final = {
    ("no_audio", True): "cli.alert_no_audio",
    ("no_audio", False): "cli.alert_no_audio_over",
    ("hanging", True): "cli.alert_hanging",
    ("hanging", False): "cli.alert_hanging_over",
    ("memory", True): "cli.alert_memory",
    ("memory", False): "cli.alert_memory_over",
    ("length", True): "cli.alert_length",
}
"""What the server tells of itself; a queue that is full is nothing to read about for who sends a file."""


class Screen(Console):
    """A console that leaves a closed pipe to whoever handles all errors."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process as failed."""
        raise BrokenPipeError


class LiveView:
    """Shows a session as it goes; an observer of the client, and a context manager.

    Args:
        text: where the words go.
        notes: where everything else goes.
        timed: finals carry the time at which they begin.
        live: latency is worth a warning: somebody is speaking, or it is as if.
    """

    def __init__(self, text: Console, notes: Console, *, timed: bool = False, live: bool = True) -> None:
        self._text = text
        self._notes = text if text.is_terminal else notes
        self._timed = timed
        self._warns = live
        self._live = Live(console=text, transient=True, auto_refresh=False) if text.is_terminal else None
        self._shown = Shown.CONNECTING
        self._away = False

    def __enter__(self) -> LiveView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update("", refresh=True)
            self._live.stop()

    def __call__(self, now: float, event: ClientEvent) -> None:  # noqa: ARG002 - an observer's signature
        """Draws what the event changes."""
        match event:
            case PartialReceived(view) if self._live:
                self._live.update(_partial(view), refresh=True)
            case FinalReceived(view):
                if self._live:
                    self._live.update("", refresh=True)
                begins = f"{view.words[0].start_ms / 1000:6.1f}  " if self._timed else ""
                line = Text.assemble((begins, "dim"), view.text)
                self._text.print(line, soft_wrap=not self._text.is_terminal)
                self._text.file.flush()
            case StateChanged(shown=shown, mode=mode) if shown is not self._shown:
                self._shown = shown
                self._tell_link(shown, mode)
            case AlertRaised("latency", seconds) if self._warns:
                self._note(say("cli.slow", seconds=seconds))
            case StatusReceived(Status(alert=Alert() as alert)) if key := _ALERTS.get((alert.name, alert.on)):
                self._note(say(key, value=alert.value))

    def _tell_link(self, shown: Shown, mode: Mode) -> None:
        if shown is Shown.RECONNECTING:
            self._away = True
            self._note(say("cli.reconnecting"))
        elif shown is Shown.ERROR and mode is Mode.BLOCK:
            self._away = True
            self._note(say("cli.blocks"))
        elif self._away and shown not in {Shown.CONNECTING, Shown.ERROR}:
            self._away = False
            self._note(say("cli.reconnected"))

    def _note(self, message: str) -> None:
        self._notes.print(message, style="yellow", markup=False, highlight=False)


class PreparationBar:
    """Shows how far a model's files are joined and checked, once that takes its time."""

    def __init__(self, console: Console, model: str) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %")
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(say("cli.preparing", model=model), total=None)

    @property
    def progress(self) -> OnProgress | None:
        """To be handed to `ModelStore.resolve`; nothing where there is no terminal."""
        return self._advance if self._bar.console.is_terminal else None

    def stop(self) -> None:
        """Takes it off the screen."""
        if self._bar.live.is_started:
            self._bar.stop()

    def __enter__(self) -> PreparationBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _advance(self, done: int, total: int) -> None:
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)


def _partial(view: TranscriptionPartial) -> Text:
    committed = "".join(word.text for word in view.words[: view.committed])
    rest = "".join(word.text for word in view.words[view.committed :])
    return Text.assemble(
        committed.lstrip() if committed else "", (rest if committed else rest.lstrip(), "dim")
    )

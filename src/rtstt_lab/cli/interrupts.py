"""Ctrl-C, twice: the first lets what runs end well, the second ends it now."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

_Result = TypeVar("_Result")


class Interrupts:
    """Takes Ctrl-C for the task that made it; a context manager.

    Attributes:
        pressed: at least once.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._stop: Callable[[], None] | None = None
        self._task = asyncio.current_task()

    def __enter__(self) -> Interrupts:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """While this goes on, the first Ctrl-C calls ``stop`` and nothing else."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _press(self) -> None:
        first, self.pressed = not self.pressed, True
        if first and self._stop is not None:
            self._stop()
        elif self._task is not None:
            self._task.cancel()


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a command's coroutine.

    Raises:
        click.Abort: Ctrl-C ended it.
    """
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        raise click.Abort from None

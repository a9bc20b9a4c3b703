"""Coroutines beside the kernel: on a thread with a loop of its own, so that a busy cell holds nothing up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class BackgroundLoop:
    """A daemon thread that runs coroutines.

    Args:
        on_error: gets, on that thread, what a coroutine raised; a thread's traceback would be seen by nobody.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtstt-notebook", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result | None]:
        """Runs ``work``; from any thread."""
        return asyncio.run_coroutine_threadsafe(self._watched(work), self._loop)

    def close(self) -> None:
        """Cancels what still runs, and ends the thread."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _watched(self, work: Coroutine[Any, Any, _Result]) -> _Result | None:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - whatever it is, a person must see it
            self._on_error(error)
            return None

    @staticmethod
    async def _cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

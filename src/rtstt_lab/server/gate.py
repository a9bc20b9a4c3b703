"""Counts what every address asks for, before the application sees it (S4)."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from rtstt_lab.errors import LimitError, RtsttError
from rtstt_lab.server.quotas import Quotas


class Gate:
    """ASGI middleware: an address over its limits is told which, and when to try again.

    Args:
        app: what lies behind.
        quotas: of the server.
        refusal: makes the application that says no, and why.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        quotas: Quotas,
        refusal: Callable[[RtsttError], ASGIApp],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._quotas = quotas
        self._refusal = refusal
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts a request or socket and lets it through, or refuses it."""
        client = scope.get("client")
        address = client[0] if client else None
        try:
            self._quotas.count("requests", address, self._clock())
            if scope["type"] == "websocket":
                with self._quotas.socket(address):
                    await self._app(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except LimitError as error:
            await self._refusal(error)(scope, receive, send)

"""Blocks on their way over HTTP, one at a time: posts, and tells what was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from rtstt_lab.client.api import SessionApi
from rtstt_lab.errors import LimitError, RtsttError
from rtstt_lab.protocol.events import SendBlock
from rtstt_lab.protocol.messages import BlockReceipt

Told: TypeAlias = Callable[[SendBlock, BlockReceipt | RtsttError], None]
"""Told a block, and its receipt or why there is none."""


class BlockPost:
    """Posts a session's blocks.

    Args:
        api: of the server; closed with this.
        session_id: of the session.
        told: on the event loop.
    """

    def __init__(self, api: SessionApi, session_id: str, told: Told) -> None:
        self._api = api
        self._session_id = session_id
        self._told = told
        self._task: asyncio.Task[None] | None = None

    def post(self, block: SendBlock) -> asyncio.Task[None]:
        """Posts this one; one that is still on its way is given up."""
        self.drop()
        self._task = asyncio.create_task(self._post(block))
        return self._task

    def drop(self) -> None:
        """What is on its way is not waited for any more."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def close(self) -> None:
        """Ends."""
        self.drop()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._api.close()

    async def _post(self, block: SendBlock) -> None:
        try:
            outcome: BlockReceipt | RtsttError = await self._api.send_block(
                self._session_id, block.body, token=block.token, after=block.after, new=block.new
            )
        except RtsttError as error:
            outcome = error
        self._told(block, outcome)


def wait_of(error: RtsttError) -> float:
    """How long a refusal asks to wait, in seconds; 0 where it says nothing."""
    return (error.retry_after_s or 0.0) if isinstance(error, LimitError) else 0.0

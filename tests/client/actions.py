"""What a test does while a client streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from rtstt_lab.client.sources import AudioChunk


async def after(
    chunks: AsyncIterator[AudioChunk], actions: dict[int, Callable[[], None]]
) -> AsyncIterator[AudioChunk]:
    """Does something when so many chunks have been handed on."""
    number = 0
    async for chunk in chunks:
        yield chunk
        number += 1
        if number in actions:
            actions[number]()


async def once(
    chunks: AsyncIterator[AudioChunk], conditions: dict[int, Callable[[], object]]
) -> AsyncIterator[AudioChunk]:
    """Hands a chunk on only when this is so: whatever the machine's speed, it comes behind that."""
    number = 0
    async for chunk in chunks:
        number += 1
        async with asyncio.timeout(60):
            while number in conditions and not conditions[number]():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        yield chunk

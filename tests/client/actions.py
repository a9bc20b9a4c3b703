"""What a test does while a client streams."""

from __future__ import annotations

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

"""What a server refuses before it costs anything (S4): each refusal names the limit and when to try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final as Constant

from rtstt_lab.errors import ChunkTooLargeError, LimitError, MalformedFrameError, OverloadedError

BODY_LIMIT_S: Constant = 30.0
LEAST_RAM_MB: Constant = 512.0
"""Under this no new session is taken; sessions that run go on (E3 has a lower mark of its own)."""


def admit_session(*, running: int, limit: int, ram_available_mb: float, ending: bool) -> None:
    """Lets one more session in, or says why not.

    Raises:
        OverloadedError: the server is ending, or short of memory.
        LimitError: as many sessions as it takes are running.
    """
    if ending:
        raise OverloadedError("ending")
    if ram_available_mb < LEAST_RAM_MB:
        raise OverloadedError("overloaded_memory", retry_after_s=30.0, available_mb=ram_available_mb)
    if running >= limit:
        raise LimitError("sessions_full", retry_after_s=30.0, limit=limit)


async def read_body(stream: AsyncIterator[bytes], limit_bytes: int) -> bytes:
    """A request's body, held in memory only, and no more of it than allowed.

    Raises:
        ChunkTooLargeError: it is longer; the rest isn't read.
        MalformedFrameError: it came too slowly.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            async for part in stream:
                body += part
                if len(body) > limit_bytes:
                    raise ChunkTooLargeError("body_too_large", limit=limit_bytes)
    except TimeoutError:
        raise MalformedFrameError("body_slow", limit_s=BODY_LIMIT_S) from None
    return bytes(body)

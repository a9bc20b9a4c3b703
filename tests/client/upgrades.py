"""A way to a server on which no WebSocket gets through, and HTTP does: as behind many a company's proxy."""

from __future__ import annotations

import asyncio
from types import TracebackType


class NoUpgrades:
    """A TCP proxy on a free loopback port that refuses the handshake of WebSockets; use as ``async with``.

    Attributes:
        refusing: whether it does so now.
        refused: how many handshakes it has refused.
    """

    def __init__(self, port: int) -> None:
        self.refusing = True
        self.refused = 0
        self._target = port
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> NoUpgrades:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        if self.refusing and b"upgrade: websocket" in head.lower():
            self.refused += 1
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        up, down = await asyncio.open_connection("127.0.0.1", self._target)
        down.write(head)
        await asyncio.gather(_pass(reader, down), _pass(up, writer))


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()

"""TLS before a protocol of uvicorn's: counted from the first packet on, and bounded in time.

asyncio tells a protocol of a connection only once it is encrypted, and waits a minute for that: until then
whoever connects and says nothing would be nobody's, and in no quota.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any
from typing import Final as Constant

from rtstt_lab.errors import LimitError
from rtstt_lab.server.quotas import Quotas

HANDSHAKE_S: Constant = 10.0
"""From the connection to the first encrypted byte, and for the farewell at its end."""


class Handshake(asyncio.Protocol):
    """A connection until it is encrypted; then it belongs to another protocol.

    Args:
        protocol: makes that one.
        context: certificate and key.
        quotas: of the server.
        limit_s: for the handshake.
        uvicorns: what uvicorn gives a protocol.
    """

    def __init__(
        self,
        *,
        protocol: Callable[..., asyncio.Protocol],
        context: ssl.SSLContext,
        quotas: Quotas,
        limit_s: float = HANDSHAKE_S,
        **uvicorns: Any,
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._quotas = quotas
        self._limit_s = limit_s
        self._uvicorns = uvicorns
        self._shaking: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins; whoever has too many begun is dropped: nothing can be told before it is encrypted."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what servers of streams give
        transport.pause_reading()
        self._shaking = asyncio.get_running_loop().create_task(self._shake(transport))

    def data_received(self, data: bytes) -> None:
        """What came with the last of the handshake, before its other protocol is there."""
        self._early += data

    def connection_lost(self, _exc: Exception | None) -> None:
        """Gone before its other protocol was there."""
        self._over = True

    async def _shake(self, transport: asyncio.Transport) -> None:
        address, *_ = transport.get_extra_info("peername") or (None,)
        try:
            with self._quotas.handshake(address):
                encrypted = await asyncio.get_running_loop().start_tls(
                    transport,
                    self,
                    self._context,
                    server_side=True,
                    ssl_handshake_timeout=self._limit_s,
                    ssl_shutdown_timeout=HANDSHAKE_S,
                )
        except (LimitError, OSError):  # of TLS, too; the peer is to blame, and has been told by TLS itself
            transport.abort()
            return
        if encrypted is None or self._over:
            return
        protocol = self._protocol(**self._uvicorns)
        encrypted.set_protocol(protocol)
        protocol.connection_made(encrypted)
        if self._early:
            protocol.data_received(bytes(self._early))

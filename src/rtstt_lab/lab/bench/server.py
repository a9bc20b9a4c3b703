"""The whole way: a server of its own, and a client that streams to it at the pace of speech."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rtstt_lab.client.local import LocalServer
from rtstt_lab.client.result import SessionResult
from rtstt_lab.client.sources import pcm_chunks, real_time
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.lab.bench.heard import Heard
from rtstt_lab.lab.bench.meters import tree_rss_mb
from rtstt_lab.types import Samples


class ServerSystem:
    """Sessions with one warm server, over sockets, in real time.

    Args:
        server: running.
        chunk_ms: of audio in a message.
    """

    def __init__(self, server: LocalServer, *, chunk_ms: int) -> None:
        self._server = server
        self._chunk_ms = chunk_ms

    @classmethod
    @contextmanager
    def started(cls, model: str, *, chunk_ms: int) -> Iterator[ServerSystem]:
        """With a server that is started and ended; what it saves is thrown away.

        Args:
            model: name or folder.
            chunk_ms: of audio in a message.

        Raises:
            ServiceError: it cannot be started.
        """
        with (
            TemporaryDirectory(prefix="rtstt-bench-") as folder,
            LocalServer(model=model, output=Path(folder)) as server,
        ):
            yield cls(server, chunk_ms=chunk_ms)

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """See `System.hear`; the CPU seconds are the server's, the client's are among the statistics.

        Raises:
            RtsttError: the session could not be made, or ended before its time.
        """
        before_s, client_before_s = self._server.process_cpu_s(), time.process_time()
        result = asyncio.run(self._stream(samples, language))
        if result.error is not None:
            raise result.error
        return Heard(
            list(result.events),
            self._server.process_cpu_s() - before_s,
            tree_rss_mb(self._server.pid),
            {"client_cpu_s": time.process_time() - client_before_s},
        )

    async def _stream(self, samples: Samples, language: str | None) -> SessionResult:
        client = StreamingClient(self._server.url, token=self._server.token, language=language)
        return await client.run(real_time(pcm_chunks(samples, chunk_ms=self._chunk_ms)))

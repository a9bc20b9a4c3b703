"""The real server on a thread of this process, so that one of its behaviours can be broken on purpose."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager, nullcontext
from functools import partial

import uvicorn

from rtstt_lab.protocol.server_links import ServerSettings as Waits
from rtstt_lab.server import serving
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import LimitSettings, ServerSettings

TOKEN = "a-token-for-tests-only-0123456789"
HASTY = partial(Waits, hello_s=2.0, gap_wait_s=2.0, ping_s=1.0)
"""How long the server waits here for what does not come."""


@contextmanager
def running(output, **limits):
    """A server with tiny.en; gives its address."""
    limits = LimitSettings(max_new_sessions_per_min=100_000, max_requests_per_min=1_000_000, **limits)
    settings = ServerSettings(api_token=TOKEN, output=output, model="tiny.en", limits=limits)
    ready, stop = threading.Event(), threading.Event()
    port, failures = [], []

    async def serve():
        registry = SessionRegistry(settings)
        await registry.start()
        server = uvicorn.Server(serving._config(settings, registry))
        server.capture_signals = nullcontext
        listener = socket.create_server(("127.0.0.1", 0))
        port.append(listener.getsockname()[1])
        task = asyncio.create_task(server.serve([listener]))
        ready.set()
        await asyncio.to_thread(stop.wait)
        await registry.close()
        server.should_exit = True
        await task
        listener.close()

    def run():
        try:
            asyncio.run(serve())
        except BaseException as error:
            failures.append(error)
            ready.set()
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(300)
        assert not failures, failures
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        stop.set()
        thread.join(120)

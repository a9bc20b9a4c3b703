"""One server from its socket to its last saved session: bind, load, serve, settle, end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any
from typing import Final as Constant

import uvicorn

from rtstt_lab.errors import PortInUseError, ServiceError, UsageError
from rtstt_lab.recognition.models import Progress
from rtstt_lab.server import logs
from rtstt_lab.server.app import make_app, refusal
from rtstt_lab.server.guard import GuardedHttp, GuardedSocket
from rtstt_lab.server.handshake import Handshake
from rtstt_lab.server.quotas import Quotas
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings, is_loopback

_CLOSING_S: Constant = 5
_BACKLOG: Constant = 512
_PING_S: Constant = 20.0
_IDLE_S: Constant = 5
_MAX_HEAD_BYTES: Constant = 16_384


async def serve(
    settings: ServerSettings,
    registry: SessionRegistry,
    *,
    ready: Callable[[int], None],
    ending: Callable[[], None],
    until_stdin_closes: bool = False,
    progress: Progress | None = None,
) -> None:
    """Serves until a signal (or the end of stdin) says stop; then settles and saves every session.

    A second signal settles no further: what is final is saved as it stands. Nor does a server whose executor
    is stuck: it ends by itself, and leaves its sessions to the next one.

    Args:
        settings: of this server.
        registry: its sessions.
        ready: told the port once requests are answered.
        ending: told when sessions begin to be settled.
        until_stdin_closes: stop also when stdin ends.
        progress: of joining and hashing the model's weights.

    Raises:
        PortInUseError: the port is taken.
        ServiceError: the address can't be listened on.
        UsageError: the certificate or its key can't be used, or a name that should mean this machine leads
            elsewhere.
        ModelError: the model can't be had or loaded.
        LanguageError: the model doesn't know the language.
    """
    asyncio.get_running_loop().set_exception_handler(logs.loop_failed)
    with bound(settings.host, settings.port) as listener, _stop_signals(stops := _Stops(until_stdin_closes)):
        # What a name leads to is the resolver's affair: what counts is the address that was bound.
        if is_loopback(settings.host) and not is_loopback(listener.getsockname()[0]):
            raise UsageError("exposed", host=settings.host)
        server = uvicorn.Server(_config(settings, registry))
        server.capture_signals = contextlib.nullcontext  # type: ignore[assignment] # signals are ours: they settle first
        if not await _first(registry.start(progress), stops.first.wait()):
            return
        gc.collect()
        gc.freeze()  # what is there for good need not be looked through each time, with everybody waiting
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        if server.started:
            ready(listener.getsockname()[1])
            stuck = registry.executor.stuck
            await _first(stops.first.wait(), asyncio.shield(serving), stuck.wait())
            if not stuck.is_set():
                ending()
                await _first(registry.settle(), stops.second.wait(), limit_s=settings.settle_s)
        await registry.close()
        server.should_exit = True
        await serving


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket.

    Raises:
        PortInUseError: the port is taken.
        ServiceError: another reason.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError("port_in_use", host=host, port=port) from error
        raise ServiceError("address", host=host, port=port, reason=error.strerror or error) from error
    with listener:
        yield listener


def _config(settings: ServerSettings, registry: SessionRegistry) -> uvicorn.Config:
    limits = settings.limits
    bounds = {"quotas": (quotas := Quotas(limits)), "refusal": refusal}
    config = uvicorn.Config(
        make_app(registry, quotas),
        # On the websockets library's sans-IO core; uvicorn's other use of that library is deprecated.
        ws=partial(GuardedSocket, **bounds),  # type: ignore[arg-type] # called like the class
        ws_max_size=limits.max_frame_bytes,
        ws_per_message_deflate=False,
        # Whoever sends a message without end sends no pong.
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        http=partial(GuardedHttp, **bounds),  # type: ignore[arg-type]
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        timeout_keep_alive=_IDLE_S,
        backlog=_BACKLOG,
        # Nobody is believed who only says so.
        proxy_headers=bool(limits.trusted_proxies),
        forwarded_allow_ips=list(limits.trusted_proxies),
        lifespan="off",
        # Addresses may carry what a proxy added to them: they are never logged.
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_CLOSING_S,
        ssl_certfile=settings.certfile,
        ssl_keyfile=settings.keyfile,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise UsageError("tls_load", reason=error.strerror or error) from error
    if config.ssl is not None:  # uvicorn would leave the handshake to asyncio
        config.http_protocol_class = partial(  # type: ignore[assignment] # called like the class
            Handshake, protocol=config.http_protocol_class, context=config.ssl, quotas=quotas
        )
        config.ssl = None
    return config


async def _first(
    wanted: Coroutine[Any, Any, object], *otherwise: Awaitable[object], limit_s: float | None = None
) -> bool:
    """Waits for the first of these, or so long; says whether it was the wanted one. The rest is cancelled."""
    tasks = asyncio.create_task(wanted), *map(asyncio.ensure_future, otherwise)
    await asyncio.wait(tasks, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    done = tasks[0].done()
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return done


class _Stops:
    """The wishes to end: the first asks to settle, the second not to wait for it."""

    def __init__(self, until_stdin_closes: bool) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        if until_stdin_closes:
            loop = asyncio.get_running_loop()
            threading.Thread(target=_await_stdin, args=(loop, self.first), daemon=True).start()

    def ask(self) -> None:
        """A signal came."""
        (self.second if self.first.is_set() else self.first).set()


def _await_stdin(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # or it was closed before
        while os.read(sys.stdin.fileno(), 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended before
        loop.call_soon_threadsafe(closed.set)


@contextlib.contextmanager
def _stop_signals(stops: _Stops) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stops.ask))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

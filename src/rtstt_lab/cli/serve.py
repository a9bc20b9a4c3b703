"""``rtstt serve``: the streaming server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from rtstt_lab.cli.limits import limit_options, limit_settings
from rtstt_lab.cli.localized import command, option, say
from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.messages import PROTOCOL
from rtstt_lab.server import auth, heap, logs
from rtstt_lab.server.settings import ServerSettings, check_exposure

_LEAST_TOKEN: Final = 16
_STUCK: Final = 1
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@command("serve", help_key="server.help")
@option("--host", default="127.0.0.1", show_default=True, help_key="server.host")
@option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help_key="server.port")
@option("--model", default="base", show_default=True, help_key="server.model")
@option("--language", default="auto", show_default=True, help_key="server.language")
@option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("output"),
    show_default=True,
    help_key="server.output",
)
@option("--journal", type=click.Path(file_okay=False, path_type=Path), help_key="server.journal")
@option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help_key="server.device",
)
@option("--compute-type", default="auto", show_default=True, help_key="server.compute_type")
@option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help_key="server.threads")
@option(
    "--max-sessions",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help_key="server.max_sessions",
)
@limit_options
@option("--ssl-certfile", type=click.Path(path_type=Path), help_key="server.certfile")
@option("--ssl-keyfile", type=click.Path(path_type=Path), help_key="server.keyfile")
@option("--allow-origin", multiple=True, metavar="ORIGIN", help_key="server.allow_origin")
@option("--insecure", is_flag=True, help_key="server.insecure")
@option(
    "--log-level",
    type=click.Choice(logs.LEVELS),
    default="warning",
    show_default=True,
    help_key="server.log_level",
)
@option("--until-stdin-closes", is_flag=True, help_key="server.until_stdin_closes")
def serve(  # noqa: PLR0917 - click gives every option by its name
    host: str,
    port: int,
    model: str,
    language: str,
    output: Path,
    journal: Path | None,
    device: str,
    compute_type: str,
    threads: int,
    max_sessions: int,
    ssl_certfile: Path | None,
    ssl_keyfile: Path | None,
    allow_origin: tuple[str, ...],
    insecure: bool,
    log_level: str,
    until_stdin_closes: bool,
    **limits: Any,
) -> None:
    """Runs the server until Ctrl-C, SIGTERM or, if asked for, the end of stdin."""
    logs.configure(log_level)
    chosen = os.environ.pop("RTSTT_TOKEN", "")
    if chosen and len(chosen) < _LEAST_TOKEN:
        raise UsageError("token_short", least=_LEAST_TOKEN)
    settings = ServerSettings(
        api_token=chosen or auth.new_token(),
        output=output,
        journal=journal,
        host=host,
        port=port,
        model=model,
        language=None if language == "auto" else language,
        device=device,
        compute_type=compute_type,
        threads=threads,
        max_sessions=max_sessions,
        certfile=ssl_certfile,
        keyfile=ssl_keyfile,
        allowed_origins=frozenset(allow_origin),
        limits=limit_settings(limits),
    )
    if check_exposure(settings, own_token=bool(chosen), insecure=insecure):
        settings = replace(settings, exposed=True)
        _tell("server.exposed", host=host)
    if not chosen:
        _tell("server.token", token=settings.api_token)
    _run(settings, until_stdin_closes=until_stdin_closes)


def _run(settings: ServerSettings, *, until_stdin_closes: bool) -> None:
    _one_thread_each()
    heap.one_arena()
    _no_core_dumps()
    # Only now: the numeric libraries read their settings when they are loaded.
    from rtstt_lab.audio.allocation import bound_allocations  # noqa: PLC0415
    from rtstt_lab.server import serving  # noqa: PLC0415
    from rtstt_lab.server.registry import SessionRegistry  # noqa: PLC0415

    bound_allocations()

    def ready(port: int) -> None:
        scheme, host = "https" if settings.encrypted else "http", settings.host
        _tell("server.ready", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        if registry.suspended:
            _tell("server.suspended", count=registry.suspended)
        click.echo(json.dumps({"ready": True, "port": port, "pid": os.getpid(), "protocol": PROTOCOL}))

    _tell("server.loading", model=settings.model)
    registry = SessionRegistry(settings)
    asyncio.run(
        serving.serve(
            settings,
            registry,
            ready=ready,
            ending=lambda: _tell("server.settling"),
            until_stdin_closes=until_stdin_closes,
            progress=partial(_show_progress, settings.model) if sys.stderr.isatty() else None,
        )
    )
    for file in registry.saved_at_end:
        _tell("server.saved", file=file)
    if registry.executor.stuck.is_set():
        _tell("server.stuck")
        os._exit(_STUCK)  # what hangs in native code must not keep the interpreter from its end
    _tell("server.ended")


def _tell(key: str, **parameters: object) -> None:
    """A line for a person; stdout is for programs."""
    with contextlib.suppress(
        BrokenPipeError
    ):  # a parent that died reads nothing; its sessions are saved all the same
        click.echo(say(key, **parameters), err=True)


def _show_progress(model: str, done_bytes: int, all_bytes: int) -> None:
    """One line that is written over."""
    line = say("server.preparing", model=model, percent=100 * done_bytes / max(1, all_bytes))
    click.echo(f"\r{line}", err=True, nl=done_bytes >= all_bytes)


def _one_thread_each() -> None:
    """BLAS and OpenMP threads spin while they wait; one thread a decode does the same work for less."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")


def _no_core_dumps() -> None:
    """A core dump would hold audio (S2).

    The limit does not count where the system pipes dumps into a program; the filter does: such a dump then
    holds none of the memory. (Being undumpable would help as well, and hide the process from its own user's
    tools.)
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - there is none on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/coredump_filter").write_text("0", "ascii")

"""The options of ``rtstt serve`` that bound what it takes (S4): one for each field of `LimitSettings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from rtstt_lab.cli.localized import option
from rtstt_lab.protocol.messages import MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES
from rtstt_lab.server.settings import LimitSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])
_BOUNDS: Final = {
    "max_session_s": (10, 3_600),
    "max_chunks_per_s": (1, 1_000),
    "max_chunk_bytes": (1_000, MAX_CHUNK_BYTES),
    "max_frame_bytes": (2_000, MAX_MESSAGE_BYTES),
    "max_body_bytes": (1_000, 1_000_000),
    "max_reconnections_per_h": (1, 10_000),
    "max_viewers": (0, 1_000),
    "max_unread_bytes": (100_000, 100_000_000),
    "max_connections": (1, 100_000),
    "max_connections_per_ip": (1, 100_000),
    "max_requests_per_min": (1, 1_000_000),
    "max_new_sessions_per_min": (1, 100_000),
}


def limit_options(function: _Command) -> _Command:
    """Adds ``--max-…`` for each limit, and ``--trusted-proxy``."""
    add = option("--trusted-proxy", multiple=True, metavar="ADDRESS", help_key="server.trusted_proxy")
    function = add(function)
    for field in reversed(fields(LimitSettings)):
        if field.name in _BOUNDS:
            add = option(
                f"--{field.name.replace('_', '-')}",
                type=click.IntRange(*_BOUNDS[field.name]),
                default=field.default,
                show_default=True,
                help_key=f"server.{field.name}",
            )
            function = add(function)
    return function


def limit_settings(given: dict[str, Any]) -> LimitSettings:
    """What was given, by the options' names."""
    proxies = tuple(given.pop("trusted_proxy"))
    return LimitSettings(**given, trusted_proxies=proxies)

"""What the commands that recognise share: their options, and the server that they ask for or start."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rtstt_lab.cli.localized import option, say
from rtstt_lab.cli.view import PreparationBar, Screen
from rtstt_lab.errors import LanguageError, UsageError
from rtstt_lab.lab.service import LocalSettings, Service, local_service
from rtstt_lab.recognition.models import LANGUAGES

_Command = TypeVar("_Command", bound=Callable[..., Any])
DEFAULT_MODEL: Final = "base"
DEFAULT_OUTPUT: Final = Path("output")


def recognition_options(function: _Command) -> _Command:
    """Adds ``--model``, ``--device``, ``--compute-type`` and ``--output``."""
    for add in (
        option("--output", type=click.Path(file_okay=False, path_type=Path), help_key="cli.output"),
        option("--compute-type", default="auto", show_default=True, help_key="cli.compute_type"),
        option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help_key="cli.device",
        ),
        option("--model", help_key="cli.model"),
    ):
        function = add(function)
    return function


def language_code(given: str) -> str | None:
    """``auto`` is detection.

    Raises:
        LanguageError: a code that no model knows.
    """
    if given == "auto":
        return None
    if given not in LANGUAGES:
        raise LanguageError("language_unknown", language=given[:40], known=" ".join(LANGUAGES))
    return given


def remote_service(url: str, model: str | None, cafile: Path | None = None, **of_the_server: str) -> Service:
    """Somebody else's server; its token is taken from ``RTSTT_TOKEN``.

    Args:
        url: where it listens.
        model: that is asked for.
        cafile: authorities that may vouch for it.
        of_the_server: options that only whoever starts the server can decide, as given.

    Raises:
        UsageError: one of those was given.
    """
    for name, value in of_the_server.items():
        if value != "auto":
            raise UsageError("server_option", option=f"--{name.replace('_', '-')}")
    return Service(url, token=os.environ.get("RTSTT_TOKEN"), model=model, cafile=cafile)


@asynccontextmanager
async def own_service(settings: LocalSettings, language: str | None) -> AsyncIterator[Service]:
    """A server of this command's own; its start is told on stderr.

    Raises:
        ModelError: the model can't be had.
        LanguageError: it doesn't know the language.
        ServiceError: the server can't be started.
    """
    console = Screen(stderr=True)
    console.print(say("cli.loading", model=settings.model), markup=False, highlight=False)
    with PreparationBar(console, settings.model) as bar:
        async with local_service(settings, language=language, progress=bar.progress) as service:
            bar.stop()
            yield service

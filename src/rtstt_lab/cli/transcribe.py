"""``rtstt transcribe``: recordings through the streaming path."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from rtstt_lab.audio.files import read_samples
from rtstt_lab.cli.interrupts import Interrupts, run_async
from rtstt_lab.cli.localized import INTERRUPTED, command, option, report_error, say
from rtstt_lab.cli.service import (
    DEFAULT_MODEL,
    DEFAULT_OUTPUT,
    language_code,
    own_service,
    recognition_options,
    remote_service,
)
from rtstt_lab.cli.view import LiveView, Screen
from rtstt_lab.client.sources import CHUNK_MS, LARGEST_CHUNK_MS
from rtstt_lab.errors import RtsttError, UsageError
from rtstt_lab.lab.service import LocalSettings, Service
from rtstt_lab.lab.transcription import Recorded, Transcriber, Transcription
from rtstt_lab.records import write_atomically
from rtstt_lab.texts import preferred_language
from rtstt_lab.transcript import FORMATS, render, save
from rtstt_lab.types import SAMPLE_RATE_HZ

_TEXT: Final = "txt"


@dataclass(frozen=True, slots=True)
class _Wishes:
    files: tuple[Path, ...]
    language: str | None
    prompt: str | None
    fast: bool
    format: str
    as_json: bool
    output: Path | None
    remote: Service | None
    local: LocalSettings


@command("transcribe", help_key="cli.transcribe_help")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@option("--language", default="auto", show_default=True, help_key="cli.language")
@option("--prompt", help_key="cli.prompt")
@option("--server", metavar="URL", help_key="cli.server")
@option("--cafile", type=click.Path(path_type=Path), help_key="cli.cafile")
@option("--fast", is_flag=True, help_key="cli.fast")
@option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    default=_TEXT,
    show_default=True,
    help_key="cli.format",
)
@option("--json", "as_json", is_flag=True, help_key="cli.json")
@recognition_options
def transcribe(  # noqa: PLR0917 - click gives every option by its name
    files: tuple[Path, ...],
    language: str,
    prompt: str | None,
    server: str | None,
    cafile: Path | None,
    fast: bool,
    kind: str,
    as_json: bool,
    model: str | None,
    device: str,
    compute_type: str,
    output: Path | None,
) -> None:
    """Streams each file and prints what was recognised."""
    if cafile and not server:
        raise UsageError("cafile_alone")
    wishes = _Wishes(
        files=files,
        language=language_code(language),
        prompt=prompt,
        fast=fast,
        format=kind,
        as_json=as_json,
        output=output,
        remote=remote_service(server, model, cafile, device=device, compute_type=compute_type)
        if server
        else None,
        local=LocalSettings(model or DEFAULT_MODEL, output or DEFAULT_OUTPUT, device, compute_type),
    )
    click.get_current_context().exit(run_async(_transcribe(wishes)))


async def _transcribe(wishes: _Wishes) -> int:
    """One file after the other; one that fails does not keep the next from being tried."""
    code, service = 0, None
    async with AsyncExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        for path in wishes.files:
            try:
                recorded = await asyncio.to_thread(_read, path, wishes)
            except RtsttError as error:
                report_error(error)
                code = max(code, error.exit_code)
                continue
            if service is None:
                service = await stack.enter_async_context(_service(wishes))
            if failure := await _stream(service, path, recorded, wishes, interrupts):
                report_error(failure)
                code = max(code, failure.exit_code)
            if interrupts.pressed:
                return INTERRUPTED
    return code


def _service(wishes: _Wishes) -> AbstractAsyncContextManager[Service]:
    return nullcontext(wishes.remote) if wishes.remote else own_service(wishes.local, wishes.language)


def _read(path: Path, wishes: _Wishes) -> Recorded:
    samples = read_samples(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Recorded(samples, f"{path.name} {digest[:12]}", wishes.language, wishes.prompt)


async def _stream(
    service: Service, path: Path, recorded: Recorded, wishes: _Wishes, interrupts: Interrupts
) -> RtsttError | None:
    """Streams one file and writes what came of it.

    Returns:
        What went wrong, if anything did; what was recognised until then is written nevertheless.
    """
    notes = Screen(stderr=True)
    duration_s = len(recorded.samples) / SAMPLE_RATE_HZ
    pace = say("cli.pace_fast" if wishes.fast else "cli.pace_real_time")
    notes.print(
        say("cli.transcribing", file=path, seconds=duration_s, pace=pace), markup=False, highlight=False
    )
    plain = wishes.format == _TEXT and not wishes.as_json
    text = Screen() if plain else Screen(stderr=True, quiet=not sys.stderr.isatty())
    with LiveView(text, notes, live=not wishes.fast) as view:
        chunk_ms = LARGEST_CHUNK_MS if wishes.fast else CHUNK_MS
        transcriber = Transcriber(service, recorded, fast=wishes.fast, chunk_ms=chunk_ms, observers=[view])
        with interrupts.stopping(transcriber.stop):
            try:
                transcription = await transcriber.run()
            except RtsttError as error:
                return error
    try:
        saved = _saved(transcription, wishes)
    except RtsttError as error:
        _print(transcription, wishes)
        return error
    if saved:
        notes.print(say("cli.saved", file=saved), markup=False, highlight=False, soft_wrap=True)
    _print(transcription, wishes)
    return transcription.result.error


def _print(transcription: Transcription, wishes: _Wishes) -> None:
    if wishes.as_json:
        click.echo(json.dumps(transcription.to_json(), ensure_ascii=False, allow_nan=False))
    elif wishes.format != _TEXT:
        click.echo(_rendered(transcription, wishes.format), nl=False)


def _saved(transcription: Transcription, wishes: _Wishes) -> Path | None:
    """The file of a server of our own; where there is none, or it is somebody else's, one that we write."""
    summary = transcription.result.summary
    if wishes.remote is None and summary is not None and summary.file:
        file = Path(summary.file)
    elif wishes.output is not None or wishes.remote is None:
        file = save(transcription.transcript(), wishes.local.output, _ui())
    else:
        return None
    if wishes.output is not None and wishes.format != _TEXT:
        file = file.with_suffix(f".{wishes.format}")
        write_atomically(file, _rendered(transcription, wishes.format))
    return file


def _rendered(transcription: Transcription, kind: str) -> str:
    return render(transcription.transcript(), kind, _ui())


def _ui() -> str:
    return preferred_language(os.environ)

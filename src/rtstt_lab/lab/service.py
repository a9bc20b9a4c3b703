"""The server that an experiment or a command talks to: one of its own, or somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rtstt_lab.client.local import LocalServer
from rtstt_lab.lab.signature import policy_of
from rtstt_lab.recognition.models import ModelStore, Progress, check_language
from rtstt_lab.recognition.streaming import RecognizerSettings


@dataclass(frozen=True, slots=True)
class Service:
    """A server and what is known about it.

    Attributes:
        url: where it listens.
        token: opens it.
        cafile: authorities that may vouch for it; ``None`` takes the machine's own.
        model: that is asked for; ``None`` is the server's own.
        model_hash: SHA-256 of its weights, as far as known.
        policy: the recognizer's settings, as far as known.
        process_cpu_s: reads the CPU seconds of its process tree; ``None`` where that is out of reach.
    """

    url: str
    token: str | None = None
    model: str | None = None
    model_hash: str = ""
    policy: str = ""
    process_cpu_s: Callable[[], float] | None = None
    cafile: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """A server of one's own.

    Attributes:
        model: name or folder.
        output: folder of the transcripts.
        device: ``cpu``, ``cuda`` or ``auto``.
        compute_type: CTranslate2's, or ``auto``.
    """

    model: str = "base"
    output: Path = Path("output")
    device: str = "auto"
    compute_type: str = "auto"


@asynccontextmanager
async def local_service(
    settings: LocalSettings,
    *,
    language: str | None = None,
    progress: Progress | None = None,
    on_message: Callable[[str], None] | None = None,
) -> AsyncIterator[Service]:
    """Starts a server with a warm model, and lets it save and end.

    Args:
        settings: of the server.
        language: that it is going to be used for; checked before anything is started.
        progress: told about joining and hashing the model's files, from a thread.
        on_message: gets what the server writes on stderr, from a thread.

    Raises:
        ModelError: the model can't be had.
        LanguageError: it doesn't know the language.
        ServiceError: the server can't be started.
    """
    model = await asyncio.to_thread(ModelStore().resolve, settings.model, progress=progress)
    check_language(model, language)
    server = LocalServer(
        model=settings.model,
        output=settings.output,
        device=settings.device,
        compute_type=settings.compute_type,
        on_progress=on_message,
    )
    async with server:
        yield Service(
            url=server.url,
            token=server.token,
            model=settings.model,
            model_hash=model.sha256,
            policy=policy_of(RecognizerSettings()),
            process_cpu_s=server.process_cpu_s,
        )

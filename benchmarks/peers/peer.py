"""What a peer is to this benchmark, and a peer as a `System`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from websockets.exceptions import WebSocketException

from benchmarks.peers.conversation import Link, PipeLink, converse
from benchmarks.peers.environments import Environment
from benchmarks.peers.processes import PeerProcess
from benchmarks.peers.transcripts import Heard as Arrived
from benchmarks.peers.transcripts import Reader, events_of, settled
from rtstt_lab.errors import RecognitionError
from rtstt_lab.lab.bench.heard import Heard, chunk_events
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

HOSTS: Final = Path(__file__).parent / "hosts"
LOOPBACK: Final = "127.0.0.1"

Settings: TypeAlias = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how a peer is run.

    Attributes:
        python: the interpreter of its environment.
        model: folder of CTranslate2 weights.
        settings: of the configuration.
        port: for its server, if it has one.
        work: folder for files that it needs.
    """

    python: Path
    model: Path
    settings: Settings
    port: int
    work: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A system of others.

    Attributes:
        name: in the report.
        package: in the index.
        environment: name of its requirements file.
        protocol: how it is fed, in a few words.
        configurations: name → what is set, the documented defaults first.
        command: what starts it.
        connect: opens a session with it, in a language or in detection.
        reader: says what each of a session's messages says.
        piped: it is a library, hosted at the other end of pipes.
        per_recording: its process is started anew for every recording; its module says why.
    """

    name: str
    package: str
    environment: str
    protocol: str
    configurations: Mapping[str, Settings]
    command: Callable[[Site], Sequence[str]]
    connect: Callable[[Site, PeerProcess, str | None], Link]
    reader: Reader
    piped: bool = False
    per_recording: bool = False


class PeerSystem:
    """Sessions with a peer's process, one after the other; it is started again when it has ended.

    Args:
        peer: what to run.
        site: where.
        log: its process writes there.
        threads: that it may compute with.
        chunk_ms: of audio in a message.
    """

    def __init__(self, peer: Peer, site: Site, log: Path, *, threads: int, chunk_ms: int) -> None:
        self._peer = peer
        self._site = site
        self._log = log
        self._threads = threads
        self._chunk_ms = chunk_ms
        self._process = self._start()

    @classmethod
    @contextmanager
    def started(
        cls,
        peer: Peer,
        configuration: str,
        environment: Environment,
        model: Path,
        work: Path,
        *,
        threads: int,
        chunk_ms: int,
    ) -> Iterator[PeerSystem]:
        """With a process that is ended afterwards.

        Args:
            peer: what to run.
            configuration: one of its own.
            environment: prepared.
            model: folder of CTranslate2 weights.
            work: folder for its log and files.
            threads: that it may compute with.
            chunk_ms: of audio in a message.
        """
        site = Site(environment.python, model, peer.configurations[configuration], _free_port(), work)
        system = cls(peer, site, work / "peer.log", threads=threads, chunk_ms=chunk_ms)
        try:
            yield system
        finally:
            system.close()

    def hear(self, samples: Samples, language: str | None) -> Heard:
        """See `System.hear`; the audio is 16 bit on the wire.

        Raises:
            RecognitionError: the peer failed.
        """
        if self._peer.per_recording or not self._process.running:
            self._process.close()
            self._process = self._start()
        process = self._process
        try:
            link = self._peer.connect(self._site, process, language)
            told = converse(link, samples, process, chunk_ms=self._chunk_ms)
            duration_s = len(samples) / SAMPLE_RATE_HZ
            arrived = _read(self._peer.reader, told.messages, duration_s, self._chunk_ms)
        except (OSError, ValueError, KeyError, TypeError, WebSocketException) as error:
            raise process.failure(f"{type(error).__name__}: {error}") from error
        if not told.complete:
            process.close()  # it may go on with this recording while the next one is played
        elif not process.running:
            raise process.failure("it ended")
        events = [*_chunks(len(samples), self._chunk_ms), *events_of(settled(arrived))]
        counts = {"messages": len(told.messages), "cut_off": float(not told.complete)}
        return Heard(events, told.cpu_s, told.rss_mb, counts)

    def close(self) -> None:
        """Ends the process."""
        self._process.close()

    def _start(self) -> PeerProcess:
        try:
            return PeerProcess(
                self._peer.command(self._site), self._log, threads=self._threads, piped=self._peer.piped
            )
        except OSError as error:
            raise RecognitionError("system_failed", reason=str(error)) from error


def _read(
    reader: Reader, messages: Sequence[tuple[float, Mapping[str, Any]]], duration_s: float, chunk_ms: int
) -> list[Arrived]:
    arrived = []
    for (at_s, _), said in zip(messages, reader([message for _, message in messages]), strict=True):
        if said is not None:
            sent_s = min(duration_s, at_s // (chunk_ms / 1000) * (chunk_ms / 1000))
            arrived.append(Arrived(at_s, sent_s, said))
    return arrived


def _chunks(samples: int, chunk_ms: int) -> Iterator[dict[str, Any]]:
    size = SAMPLE_RATE_HZ * chunk_ms // 1000
    for seq, start in enumerate(range(0, samples, size)):
        yield from chunk_events(seq, start / SAMPLE_RATE_HZ, min(samples, start + size) / SAMPLE_RATE_HZ)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def piped_command(script: str) -> Callable[[Site], Sequence[str]]:
    """Of a peer that is a library: one of our hosts, told the model and the settings."""
    return lambda site: [
        str(site.python),
        str(HOSTS / script),
        str(site.model),
        json.dumps(dict(site.settings)),
    ]


def piped_link(_: Site, process: PeerProcess, language: str | None) -> Link:
    """To such a host."""
    return PipeLink(process, language)

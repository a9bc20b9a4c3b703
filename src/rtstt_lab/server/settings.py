"""What a serving process is told at its start; nothing of it changes afterwards."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from rtstt_lab.errors import UsageError
from rtstt_lab.protocol.messages import MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES, Limits


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What is refused (S4); each is an option of ``rtstt serve``.

    Addresses of version 6 count by their first 64 bits: one customer has them all.

    Attributes:
        max_session_s: recorded audio of one session; it is finished and saved then (E3).
        max_chunks_per_s: of one session in the long run; held audio may come at once.
        max_chunk_bytes: payload of one chunk.
        max_frame_bytes: one WebSocket message, fragments and base64 included.
        max_body_bytes: JSON body of a request.
        max_reconnections_per_h: of one session.
        max_viewers: of one session.
        max_unread_bytes: what waits for a peer that does not read, before it is let go.
        max_connections: open at once, of all addresses.
        max_connections_per_ip: open at once, of one address.
        max_requests_per_min: of one address.
        max_new_sessions_per_min: of one address.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed.
    """

    max_session_s: int = 3_600
    max_chunks_per_s: int = 20
    max_chunk_bytes: int = MAX_CHUNK_BYTES
    max_frame_bytes: int = MAX_MESSAGE_BYTES
    max_body_bytes: int = 64_000
    max_reconnections_per_h: int = 60
    max_viewers: int = 8
    max_unread_bytes: int = 4_000_000
    max_connections: int = 512
    max_connections_per_ip: int = 64
    max_requests_per_min: int = 1_200
    max_new_sessions_per_min: int = 120
    trusted_proxies: tuple[str, ...] = ()

    def of_session(self) -> Limits:
        """Those that a session's client is told."""
        return Limits(
            max_chunk_bytes=self.max_chunk_bytes,
            max_session_s=self.max_session_s,
            max_chunks_per_s=self.max_chunks_per_s,
            max_reconnections_per_h=self.max_reconnections_per_h,
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server.

    Attributes:
        api_token: opens everything; never shown by ``repr``.
        output: folder of the transcripts.
        journal: folder of the text journals of open sessions; ``None`` is one below ``output``.
        host: address to bind.
        port: 0 takes any free one.
        model: used where a session names none; loaded before the server says that it is ready.
        language: used where a session names none; ``None`` is detection.
        device: ``cpu``, ``cuda`` or ``auto``.
        compute_type: CTranslate2's; ``auto`` suits the device.
        threads: of one decode.
        max_sessions: open at once.
        certfile: TLS certificate.
        keyfile: its key.
        exposed: it can be reached from other machines without encryption or a token of the person's choice,
            and they were told (`check_exposure`).
        allowed_origins: of pages that are neither this host nor this machine, e.g. ``https://lab.example.org``.
        limits: see `LimitSettings`.
        idle_model_s: a model that nobody used for so long is unloaded (not the one given here).
        settle_s: at most so long for the queued audio of open sessions when the server ends.
    """

    api_token: str = field(repr=False)
    output: Path
    host: str = "127.0.0.1"
    port: int = 0
    model: str = "base"
    language: str | None = None
    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 1
    max_sessions: int = 8
    certfile: Path | None = None
    keyfile: Path | None = None
    exposed: bool = False
    allowed_origins: frozenset[str] = frozenset()
    limits: LimitSettings = LimitSettings()
    idle_model_s: float = 600.0
    settle_s: float = 60.0
    journal: Path | None = None

    @property
    def journal_folder(self) -> Path:
        """Where the journals lie."""
        return self.journal or self.output / ".rtstt_journal"

    @property
    def encrypted(self) -> bool:
        """Certificate and key were given."""
        return self.certfile is not None and self.keyfile is not None


def check_exposure(settings: ServerSettings, *, own_token: bool, insecure: bool) -> bool:
    """Refuses to be reached from other machines without encryption and a chosen token (S3).

    Args:
        settings: as asked for.
        own_token: the token was chosen by the person, and not made up at start.
        insecure: refuse nothing.

    Returns:
        Whether the server is exposed against this rule: something to warn of.

    Raises:
        UsageError: for an address beyond loopback without certificate, key and token, unless `insecure`; for
            a certificate without key, or the reverse; for one of them that is no file.
    """
    if (settings.certfile is None) is not (settings.keyfile is None):
        raise UsageError("tls_pair")
    for file in (settings.certfile, settings.keyfile):
        if file is not None and not file.is_file():
            raise UsageError("tls_file", path=file)
    if is_loopback(settings.host) or (settings.encrypted and own_token):
        return False
    if not insecure:
        raise UsageError("exposed", host=settings.host)
    return True


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address) means this machine only.

    Spellings that only a resolver understands (``127.1``, ``0``, names) count as other machines.
    """
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback

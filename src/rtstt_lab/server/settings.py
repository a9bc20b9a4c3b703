"""What a serving process is told at its start; nothing of it changes afterwards."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from rtstt_lab.errors import UsageError


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server.

    Attributes:
        api_token: opens everything; never shown by ``repr``.
        output: folder of the transcripts.
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
    idle_model_s: float = 600.0
    settle_s: float = 60.0

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

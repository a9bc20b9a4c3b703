"""How much one address may ask for: counts and rates, in bounded memory, without a clock of their own."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from rtstt_lab.errors import LimitError, OverloadedError, UsageError
from rtstt_lab.protocol.timing import TokenBucket
from rtstt_lab.server.settings import LimitSettings

Quota: TypeAlias = Literal["requests", "new_sessions"]
_MOST_ADDRESSES = 10_000
_MINUTE_S = 60.0
_TRY_AGAIN_S = 10.0


def who(address: str | None) -> str:
    """The one behind an address: version 6 by its first 64 bits, version 4 also where it is mapped into 6."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return str(ip)


class Rate:
    """At most so many a minute of each address, all of them at once if need be.

    The address that was quiet for longest is forgotten when there are too many.
    """

    def __init__(self, per_min: int) -> None:
        self._per_min = per_min
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_s(self, name: str, now: float) -> float:
        """Counts one; 0, or how long to wait until the next is taken."""
        bucket = self._buckets.pop(name, None) or TokenBucket(self._per_min / _MINUTE_S, self._per_min, now)
        self._buckets[name] = bucket
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take(now) else max(0.0, bucket.ready_at() - now)


class Quotas:
    """What the addresses of one server have had.

    Args:
        limits: see `LimitSettings`.

    Raises:
        UsageError: a trusted proxy that is neither an address nor a network.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self._proxies = [_network(proxy) for proxy in limits.trusted_proxies]
        self._rates = {
            "requests": (Rate(limits.max_requests_per_min), limits.max_requests_per_min),
            "new_sessions": (Rate(limits.max_new_sessions_per_min), limits.max_new_sessions_per_min),
        }
        self._connections: Counter[str] = Counter()
        self._sockets: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()

    def count(self, quota: Quota, address: str | None, now: float) -> None:
        """Counts a request or a new session.

        Raises:
            LimitError: too many within the last minute.
        """
        rate, limit = self._rates[quota]
        if wait_s := rate.wait_s(who(address), now):
            raise LimitError(f"limit_{quota}", retry_after_s=wait_s, limit=limit)

    @contextmanager
    def socket(self, address: str | None) -> Iterator[None]:
        """Holds the place of one WebSocket, by the address that a proxy tells.

        Raises:
            LimitError: the address has as many open as it may.
        """
        name, limit = who(address), self.limits.max_connections_per_ip
        if self._sockets[name] >= limit:
            raise LimitError("limit_address", retry_after_s=_TRY_AGAIN_S, limit=limit)
        self._sockets[name] += 1
        try:
            yield
        finally:
            _less(self._sockets, name)

    def opened(self, address: str | None) -> LimitError | None:
        """Counts a connection that was opened; to be `closed` in any case.

        Args:
            address: of its other end; a trusted proxy may have as many as there are.

        Returns:
            Why it should not be served, if so.
        """
        name = who(address)
        self._connections[name] += 1
        return self._too_many(self._connections, name)

    def closed(self, address: str | None) -> None:
        """A connection is gone."""
        _less(self._connections, who(address))

    @contextmanager
    def handshake(self, address: str | None) -> Iterator[None]:
        """Holds the place of a connection that is not encrypted yet; of these there may be as many again.

        Raises:
            LimitError: there are too many.
        """
        name = who(address)
        self._handshakes[name] += 1
        try:
            if error := self._too_many(self._handshakes, name):
                raise error
            yield
        finally:
            _less(self._handshakes, name)

    def _too_many(self, counts: Counter[str], name: str) -> LimitError | None:
        limits = self.limits
        if counts.total() > limits.max_connections:
            return OverloadedError(
                "limit_connections", retry_after_s=_TRY_AGAIN_S, limit=limits.max_connections
            )
        if counts[name] > limits.max_connections_per_ip and not self._trusted(name):
            return LimitError(
                "limit_address", retry_after_s=_TRY_AGAIN_S, limit=limits.max_connections_per_ip
            )
        return None

    def _trusted(self, name: str) -> bool:
        with suppress(ValueError):
            ip = ipaddress.ip_address(name)
            return any(ip in network for network in self._proxies)
        return False


def _less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def _network(proxy: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(proxy)
    except ValueError:
        raise UsageError("trusted_proxy", proxy=proxy) from None

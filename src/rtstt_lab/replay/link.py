"""A network in virtual time: connections that a fault schedule delays, throttles, starves and cuts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import numpy as np

from rtstt_lab.protocol.events import SendBlock
from rtstt_lab.protocol.messages import BlockReceipt
from rtstt_lab.replay.agenda import Agenda
from rtstt_lab.replay.faults import Channel, FaultSchedule
from rtstt_lab.replay.tampering import Tampering

_HANDSHAKE_BYTES: Final = 500


class Client(Protocol):
    """What the network calls at the client's end."""

    def link_opened(self, now: float) -> None:
        """The socket is up."""

    def link_lost(self, reason: str, now: float, code: int | None = None) -> None:
        """The socket is gone."""

    def receive_text(self, frame: str, now: float) -> None:
        """A frame came."""

    def block_answered(self, block: int, receipt: BlockReceipt, now: float) -> None:
        """A block was taken."""

    def block_failed(self, block: int, reason: str, now: float) -> None:
        """A block got no answer."""


class Server(Protocol):
    """What the network calls at the server's end."""

    def link_opened(self, now: float, link: int) -> None:
        """A socket was accepted."""

    def link_lost(self, link: int, now: float) -> None:
        """A socket is gone."""

    def receive_text(self, frame: str, now: float, link: int) -> None:
        """A text frame came."""

    def receive_bytes(self, frame: bytes, now: float, link: int) -> None:
        """A binary frame came."""

    def receive_block(
        self, body: bytes, now: float, *, token: str, after: int, new: bool = False
    ) -> BlockReceipt:
        """A block came."""


class VirtualNetwork:
    """One client's connections, one at a time, each with a number.

    Args:
        agenda: virtual time.
        client: one end.
        server: the other end.
        schedule: counts from `begin`; before it the link is clean.
        seed: of jitter and corruption.
    """

    def __init__(
        self, agenda: Agenda, client: Client, server: Server, schedule: FaultSchedule, *, seed: int = 0
    ) -> None:
        self._agenda = agenda
        self._client = client
        self._server = server
        self._schedule = schedule
        self._seed = seed
        self._origin_s = math.inf
        self._tampering = Tampering(schedule, seed=seed)
        self._link = 0
        self._to_server = self._to_client = Channel(schedule, np.random.default_rng(seed))
        self._at_server: set[int] = set()
        self._at_client: int | None = None

    def begin(self, origin_s: float) -> None:
        """The schedule's time 0."""
        self._origin_s = origin_s
        self._tampering.begin(origin_s)
        for start_s in self._schedule.cut_starts():
            self._agenda.at(origin_s + start_s, self._cut)

    def stopped(self) -> None:
        """Stop is being pressed: what counts from there is known now, before anything is sent of it."""
        before = self._schedule
        self._schedule = before.stopped(self._since())
        for channel in (self._to_server, self._to_client):
            channel.suffer(self._schedule)
        for start_s in set(self._schedule.cut_starts()).difference(before.cut_starts()):
            self._agenda.at(self._origin_s + start_s, self._cut)

    @property
    def connected(self) -> bool:
        """Whether the client has a socket, or one is being opened."""
        return self._at_client is not None

    def open(self) -> None:
        """The client asks for a socket; an earlier one is out of use."""
        self._link += 1
        link = self._at_client = self._link
        rngs = (np.random.default_rng((self._seed, link, way)) for way in (0, 1))
        self._to_server, self._to_client = (Channel(self._schedule, rng) for rng in rngs)
        if self._schedule.is_cut(self._since()):
            self._agenda.at(self._agenda.now_s, lambda: self._lose(link, "refused"))
        else:
            self._agenda.at(self._arrival_s(self._to_server, _HANDSHAKE_BYTES), lambda: self._accept(link))

    def send_to_server(self, frame: str | bytes) -> None:
        """The client writes a frame."""
        link = self._at_client
        for passed in self._tampering(frame, self._agenda.now_s):
            self._agenda.at(
                self._arrival_s(self._to_server, len(passed)),
                lambda passed=passed: self._hand_to_server(link, passed),  # type: ignore[misc]
            )

    def send_to_client(self, link: int, frame: str | bytes) -> None:
        """The server writes a frame."""
        if link == self._link and isinstance(frame, str):
            self._agenda.at(
                self._arrival_s(self._to_client, len(frame)), lambda: self._hand_to_client(link, frame)
            )

    def post(self, block: SendBlock) -> None:
        """The client posts a block; one that meets a cut on its way there or back gets no answer."""
        rng = np.random.default_rng((self._seed, block.block, 2))
        way = Channel(self._schedule, rng)

        def arrive() -> None:
            now = self._agenda.now_s
            receipt = self._server.receive_block(
                block.body, now, token=block.token, after=block.after, new=block.new
            )
            size = len(msgspec.json.encode(receipt))
            self._unless_cut(
                self._arrival_s(way, size),
                block,
                lambda: self._client.block_answered(block.block, receipt, self._agenda.now_s),
            )

        self._unless_cut(self._arrival_s(way, len(block.body)), block, arrive)

    def _unless_cut(self, at_s: float, block: SendBlock, act: Callable[[], None]) -> None:
        since_s, until_s = self._since(), at_s - self._origin_s
        cut_s = next((s for s in self._schedule.cut_starts() if since_s <= s <= until_s), None)
        if self._schedule.is_cut(since_s):
            cut_s = since_s
        if cut_s is None:
            self._agenda.at(at_s, act)
        else:
            failed_s = max(self._agenda.now_s, self._origin_s + cut_s)
            self._agenda.at(
                failed_s, lambda: self._client.block_failed(block.block, "reset", self._agenda.now_s)
            )

    def close_by_client(self) -> None:
        """The client closes its socket behind what it wrote; it hears nothing more of it."""
        link, self._at_client = self._at_client, None
        self._agenda.at(self._arrival_s(self._to_server, 0), lambda: self._server_loses(link))

    def close_by_server(self, link: int, code: int, reason: str) -> None:
        """The server closes a socket behind what it wrote."""
        if link == self._link:
            at_s = self._arrival_s(self._to_client, 0)
            self._agenda.at(at_s, lambda: self._lose(link, reason, code))
        else:  # the client has left that one for another
            self._server_loses(link)

    def _since(self) -> float:
        return self._agenda.now_s - self._origin_s

    def _arrival_s(self, channel: Channel, size: int) -> float:
        if self._origin_s == math.inf:
            return self._agenda.now_s
        return self._origin_s + channel.arrival_s(self._since(), size)

    def _accept(self, link: int) -> None:
        if link == self._at_client:
            self._at_server.add(link)
            self._server.link_opened(self._agenda.now_s, link)
            at_s = self._arrival_s(self._to_client, _HANDSHAKE_BYTES)
            self._agenda.at(at_s, lambda: self._opened(link))

    def _opened(self, link: int) -> None:
        if link == self._at_client:
            self._client.link_opened(self._agenda.now_s)

    def _hand_to_server(self, link: int | None, frame: str | bytes) -> None:
        if link is None or link not in self._at_server:
            return
        if isinstance(frame, str):
            self._server.receive_text(frame, self._agenda.now_s, link)
        else:
            self._server.receive_bytes(frame, self._agenda.now_s, link)

    def _hand_to_client(self, link: int, frame: str) -> None:
        if link == self._at_client:
            self._client.receive_text(frame, self._agenda.now_s)

    def _cut(self) -> None:
        for link in sorted(self._at_server | {self._link}):
            self._lose(link, "reset")

    def _lose(self, link: int, reason: str, code: int | None = None) -> None:
        self._server_loses(link)
        if link == self._at_client:
            self._at_client = None
            self._client.link_lost(reason, self._agenda.now_s, code)

    def _server_loses(self, link: int | None) -> None:
        if link is not None and link in self._at_server:
            self._at_server.remove(link)
            self._server.link_lost(link, self._agenda.now_s)

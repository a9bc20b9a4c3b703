"""A server's sessions without the server, and a client that talks with one of them."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

from rtstt_lab.protocol.messages import ClientHello, ClientPong, CreateSession, encode
from rtstt_lab.server.outbox import Outbox
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings

API = "t" * 32


@asynccontextmanager
async def serving(output, *, wall=time.time, **changes):
    """A server's sessions, without the server."""
    settings = ServerSettings(**({"api_token": API, "output": output, "model": "tiny.en"} | changes))
    registry = SessionRegistry(settings, wall=wall)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()


def journals(output):
    """Session ids of the journals that lie there."""
    return {file.stem for file in (output / ".rtstt_journal").glob("*.jsonl")}


class Client:
    """Talks with a session's host; keeps what it is told."""

    def __init__(self, host):
        self.host = host
        self.told = []
        self._pings = []
        self._outbox = Outbox()
        self._changed = asyncio.Event()
        self._outbox.put = self._take
        self.link = host.link_opened(self._outbox)

    def _take(self, said):
        self.told.append(json.loads(said))
        if self.told[-1]["type"] == "server:ping":
            self._pings.append(self.told[-1]["sent_ms"])
        self._changed.set()

    def say(self, message):
        self.host.receive(message if isinstance(message, bytes) else encode(message), self.link)

    async def until(self, wanted):
        """The first message of which this is true; pings are answered, so that the link lasts."""
        async with asyncio.timeout(60):
            while not (found := next(filter(wanted, self.told), None)):
                self._changed.clear()
                await self._changed.wait()
                while self._pings:
                    self.say(ClientPong(self._pings.pop()))
        return found


async def opened(registry):
    """A new session in English, and its client, which has said hello."""
    made = await registry.create(CreateSession(language="en"))
    client = Client(registry.host(made.session_id))
    client.say(ClientHello(made.session_token))
    return made, client

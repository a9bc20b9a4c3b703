"""A real server in a process of its own, and a client that says exactly what a test wants said."""

from __future__ import annotations

import binascii
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from rtstt_lab.protocol.messages import AudioHeader, encode_audio

TOKEN = "a-token-for-tests-only-0123456789"
CHUNK_MS = 250
CHUNK_BYTES = 2 * 16 * CHUNK_MS


@dataclass
class Server:
    """One running ``rtstt serve``."""

    process: subprocess.Popen
    port: int
    output: Path
    log: Path

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def rest(self, method, path="", *, token=TOKEN, **request):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= request.pop("headers", {})
        address = f"{self.url}/api/streaming/sessions{path}"
        return httpx.request(method, address, headers=headers, timeout=60, **request)

    def create(self, **body):
        answer = self.rest("POST", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    @asynccontextmanager
    async def socket(self, session_id, route="ws", **options):
        address = f"ws://127.0.0.1:{self.port}/api/streaming/sessions/{session_id}/{route}"
        # A machine that stands still for a while is not taken for a server that does.
        patient = {"open_timeout": 60, "close_timeout": 60, "ping_interval": None}
        async with connect(
            address, subprotocols=["rtstt.v1"], compression=None, max_size=None, **(patient | options)
        ) as socket:
            yield Talk(socket)

    def stop(self, *, timeout=60):
        """Closes its stdin, as an ending parent does; returns its exit code."""
        self.process.stdin.close()
        return self.process.wait(timeout)

    def end(self):
        """Leaves nothing behind, whatever happened."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@dataclass
class Talk:
    """One socket: everything that came is kept."""

    socket: object
    seen: list = field(default_factory=list)
    controls: int = 0

    async def send(self, **message):
        await self.socket.send(json.dumps(message))

    async def hello(self, token=TOKEN, **more):
        await self.send(type="client:hello", token=token, **more)
        return await self.until("server:session_created", "server:status", "server:error")

    async def control(self, action, at_seq):
        self.controls += 1
        await self.send(type="client:control", action=action, n=self.controls, at_seq=at_seq)

    async def chunk(self, seq, payload, **changes):
        await self.socket.send(frame(seq, payload, **changes))

    async def receive(self):
        """The next message that isn't a ping; those are answered."""
        while True:
            message = json.loads(await self.socket.recv())
            if message["type"] == "server:ping":
                await self.send(type="client:pong", sent_ms=message["sent_ms"])
                continue
            self.seen.append(message)
            return message

    async def until(self, *kinds, **fields):
        """The next message of one of these types whose fields have these values."""
        while True:
            message = await self.receive()
            if message["type"] in kinds and all(message.get(k) == v for k, v in fields.items()):
                return message

    async def say(self, chunks, *, first=0):
        """Sends chunks, each when the one before was acknowledged; returns the next number."""
        for seq, payload in enumerate(chunks, first):
            await self.chunk(seq, payload)
            await self.until("server:ack", seq=seq)
        return first + len(chunks)

    async def close_code(self):
        """Reads on until the server closes."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None

    def of(self, kind):
        return [message for message in self.seen if message["type"] == kind]


def frame(seq, payload, **changes):
    """A right audio frame, or one that is wrong on purpose."""
    fields = {
        "seq": seq,
        "stream": 0,
        "bytes": len(payload),
        "crc32": binascii.crc32(payload),
        "duration_ms": CHUNK_MS,
        "captured_ms": seq * CHUNK_MS,
        "sent_ms": seq * CHUNK_MS,
        "mime": "audio/pcm;rate=16000" if seq == 0 else None,
    }
    return encode_audio(AudioHeader(**(fields | changes)), payload)


def start(folder, *options, token=TOKEN, model="tiny.en", before=(), cwd=None, **environment):
    """Starts ``rtstt serve`` on a free port, perhaps under another command, and waits until it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    output, log = folder / "output", folder / "log"
    command = [sys.executable, "-m", "rtstt_lab", "serve", "--port", "0", "--model", model]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*before, *command, "--output", os.fspath(output), "--until-stdin-closes", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=os.environ | {"RTSTT_TOKEN": token, "RTSTT_LANG": "en"} | environment,
        )
    line = process.stdout.readline()
    assert line, log.read_text("utf-8")
    ready = json.loads(line)
    assert ready["ready"]
    assert ready["protocol"] == "rtstt.v1"
    assert ready["pid"] == process.pid
    return Server(process, ready["port"], output, log)


@contextmanager
def running(folder, *options, **environment):
    """A server that ends well, and by then has said nothing of an error of its own."""
    server = start(folder, *options, **environment)
    try:
        yield server
        assert server.stop() == 0, server.log.read_text("utf-8")
        assert "Traceback" not in server.log.read_text("utf-8")
    finally:
        server.end()


def listening(pid):
    """Addresses that a process listens on."""
    sockets = psutil.Process(pid).net_connections("inet")
    return [(s.laddr.ip, s.laddr.port) for s in sockets if s.status == psutil.CONN_LISTEN]

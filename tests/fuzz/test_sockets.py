"""A real server, and sockets that say what nobody should: it goes on answering, and does not grow."""

from __future__ import annotations

import json

import psutil
import pytest
from tests.server.talk import TOKEN
from websockets.exceptions import ConnectionClosed

from rtstt_lab.protocol import messages as wire

from . import valid
from .mutations import mutated, mutated_frame, mutated_json, rng_of

FRAMES_OF_A_SOCKET = 25
MAX_GROWN_MB = 80
MAX_MORE_FILES = 12
PAYLOADS = [valid.chunk(n, bytes(n)) for n in (0, 1, 7, 900)]


def next_frame(rng, seq):
    """A message, a chunk, or noise."""
    texts = [wire.encode(message).encode() for message in valid.client_messages(seq)]
    what = rng.random()
    if what < 0.3:
        return mutated_json(rng.choice(texts), rng).encode("utf-8", "replace").decode()
    if what < 0.4:
        return mutated(texts, rng).decode("utf-8", "replace")
    if what < 0.8:
        return mutated_frame(valid.chunk(seq), PAYLOADS, rng)
    return mutated(PAYLOADS, rng) if what < 0.95 else rng.randbytes(rng.randint(0, 2_000))


async def attack(service, made, rng):
    """One socket, from its hello until either side has had enough; what it is told can be read."""
    route, greets = rng.choice(("ws", "ws", "ws", "events")), rng.random() < 0.9
    try:
        async with service.socket(made["session_id"], route, max_queue=None) as talk:
            if greets:
                await talk.send(type="client:hello", token=TOKEN, resuming=rng.random() < 0.5)
            for seq in range(FRAMES_OF_A_SOCKET):
                await talk.socket.send(next_frame(rng, seq))
            if route == "ws" and rng.random() < 0.5:  # the other half leaves without a look
                wire.decode_server_message(await talk.socket.recv())
    except ConnectionClosed as end:
        assert end.rcvd is None or end.rcvd.code != 1011  # noqa: PT017 - it may also not come


async def still_works(service):
    """A session as it should be: a chunk is taken."""
    made = service.create()
    async with service.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await talk.chunk(0, bytes(8_000))
        assert (await talk.until("server:ack", seq=0))["next_seq"] == 1
    assert service.rest("DELETE", f"/{made['session_id']}").status_code == 204


@pytest.mark.requirement("S1", "E4", "O3")
@pytest.mark.parametrize(
    "sockets",
    [
        pytest.param(30, id="few"),
        pytest.param(800, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_no_socket_breaks_a_server(service, sockets):
    """After all of them a right session is served; memory, descriptors and threads are what they were."""
    await still_works(service)
    process = psutil.Process(service.process.pid)
    for warm in range(5):
        made = service.create()
        await attack(service, made, rng_of(-1 - warm))
        service.rest("DELETE", f"/{made['session_id']}")
    before = process.memory_info().rss, process.num_fds(), process.num_threads()
    for number in range(sockets):
        if number % 10 == 0:
            made = service.create()
        await attack(service, made, rng_of(number))
        if number % 10 == 9:
            assert service.rest("GET", f"/{made['session_id']}").status_code == 200
            assert service.rest("DELETE", f"/{made['session_id']}").status_code == 204
    await still_works(service)
    assert json.loads(service.rest("GET").content)["sessions_total"] == 0
    assert process.num_fds() <= before[1] + MAX_MORE_FILES
    assert process.num_threads() <= before[2] + MAX_MORE_FILES
    assert (process.memory_info().rss - before[0]) / 2**20 < MAX_GROWN_MB

"""The page under a server's nearly right messages: it answers each as the Python client does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fuzz import valid
from tests.fuzz.mutations import mutated, mutated_json, rng_of

from protocol_world import World
from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSettings
from rtstt_lab.protocol.lifecycle import Link

CONVERSATION = 40


class Page:
    """One session under attack; what Python's client answers is the trace that the page is held against."""

    def __init__(self, number: int) -> None:
        self.rng = rng_of(number)
        self.world = World(ClientSettings(max_buffer_bytes=50_000))
        self.linked = 0
        self.call("connect")

    @property
    def trace(self) -> dict[str, Any]:
        """As `replay_traces.mjs` reads it."""
        settings = asdict(self.world.settings)
        session = {"session_id": self.world.client.session_id, "token": "token-0", "settings": settings}
        return {"seed": 0, "session": session, "steps": self.world.steps}

    def call(self, name: str, **arguments: Any) -> None:
        """Calls the client, and opens the sockets that it asks for."""
        told = len(self.world.events)
        self.world.call(name, **arguments)
        if any(isinstance(event, ev.OpenLink) for event in self.world.events[told:]):
            self.call("link_opened")

    def attack(self) -> None:
        """One message, or one receipt of a block, of a server that can't be trusted."""
        rng, client = self.rng, self.world.client
        event = client._last_event + 1
        asked = [e.block for e in self.world.events if isinstance(e, ev.SendBlock)]
        if asked and client._blocks.awaits(asked[-1]) and rng.random() < 0.5:
            text = mutated_json(msgspec.json.encode(valid.receipt(event)), rng)
            try:
                receipt = msgspec.json.decode(text.encode(), type=wire.BlockReceipt)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.call("block_failed", block=asked[-1], reason="", retry_after_s=0.0, code=None)
            else:
                self.call("block_answered", block=asked[-1], receipt=receipt)
        else:
            messages = valid.server_messages(event)
            texts = [wire.encode(message) for message in messages]
            text, near = rng.choice(texts), rng.random()
            if near > 0.3:
                text = mutated_json(text, rng)
            if near > 0.8:
                text = mutated([text.encode("utf-8", "replace")], rng).decode("utf-8", "replace")
            self.call("receive_text", frame=text.encode("utf-8", "replace").decode())  # as a socket gives it
        self.linked += client.link is Link.OPEN

    def live(self) -> None:
        """What people and networks do meanwhile."""
        rng, world = self.rng, self.world
        what = rng.random()
        if what < 0.5:
            audio = {"payload": rng.randbytes(rng.randint(0, 3_000)), "mime": valid.PCM, "stream": 0}
            self.call("send_audio", duration_ms=100, captured_ms=0, **audio)
        elif what < 0.65:
            self.call(rng.choice(("start", "pause", "resume", "flush", "stop", "connect")))
        elif what < 0.7:
            self.call("link_lost", reason="cut", code=rng.choice((None, 1006, 4400)))
        else:
            world.now = max(world.now, world.client.next_deadline() or 0.0) + rng.choice((0.0, 0.01, 1.0))
            self.call("handle_timer")


@pytest.mark.requirement("S1", "E4")
@pytest.mark.parametrize(
    "inputs", [pytest.param(2_000, id="few"), pytest.param(50_000, id="many", marks=[pytest.mark.long])]
)
def test_no_server_breaks_a_page(
    inputs: int, root: Path, static: Path, tmp_path: Path, node: Callable[..., str]
) -> None:
    """Whatever the server says, the page answers as Python's client, whose bounds are tested."""
    told: Counter[str] = Counter()
    linked = 0
    traces = tmp_path / "traces.jsonl"
    with traces.open("w", encoding="ascii") as file:
        for number in range(inputs // CONVERSATION):
            page = Page(number)
            for _ in range(CONVERSATION):
                page.attack()
                page.live()
            file.write(json.dumps({**page.trace, "seed": number}) + "\n")
            linked += page.linked
            told.update(e.message.code for e in page.world.events if isinstance(e, ev.ErrorReceived))
    node(root / "tests/notebook/replay_traces.mjs", static / "session.js", traces)
    assert linked > inputs // 20
    assert told["frame_malformed"] > inputs // 10
    assert told["chunk_lost"] > inputs // 200

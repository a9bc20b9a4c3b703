"""Seeded traces of `ClientSession` for its twin in the browser, and the world that they come from.

``python scripts/make_traces.py OUT.jsonl [--count 500] [--seed 0]`` writes one JSON object a line, one trace
each::

    {"seed": 7,
     "session": {"session_id": "…", "token": "…",
                 "settings": {"backoff_s": [1, 2, …], …}},  # fields of ClientSettings
     "steps": [{"call": "send_audio",       # a method of ClientSession
                "args": {"payload": "base64", "duration_ms": 250, …},  # by keyword, without `now`
                "now": 12.25,               # seconds
                "returns": 3,               # what the call returned, or null
                "raises": null,             # the error's key ("lifecycle", "chunk_duration"), or null
                "events": [{"type": "StateChanged", "shown": "…", …}],  # events() after the call
                "data": [{"text": {"type": "client:hello", …}},         # data_to_send(now) after that
                         {"audio": {…header…}, "payload": "base64"}],
                "deadline": 13.0,           # next_deadline() after that, or null
                "state": {"link", "phase", "mode", "shown", "held_ms", "finals": their number,
                          "ledger": {…}, "latency": {…} or null}}]}

Calls are the commands (``connect``, ``reconnect``, ``use_blocks``, ``close``, ``start``, ``pause``,
``resume``, ``stop``, ``flush``, ``send_audio``), ``link_opened``, ``link_lost`` (``reason``, ``code``),
``receive_text`` (``frame``: a string), ``block_answered`` (``block``, ``receipt``: an object),
``block_failed`` (``block``, ``reason``, ``retry_after_s``, ``code``) and ``handle_timer``. Frames and
events compare as objects, whatever the order of their keys; numbers compare exactly. A message leaves out
fields at their default, on the wire and in events. Of an `ErrorReceived` for a frame that cannot be read
only the code can be compared: the reason is the JSON reader's own.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from protocol_world import Posting, World
from rtstt_lab.protocol.client import ClientSettings
from rtstt_lab.protocol.messages import Limits

MIME: Final = "audio/webm;codecs=opus"


class Walker:
    """A random life of a session.

    Args:
        seed: of all chance in it.
    """

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311 - a reproducible walk, no secret
        settings = ClientSettings(
            max_buffer_bytes=rng.choice([400, 4_000, 2**27]), max_in_flight=rng.choice([3, 64])
        )
        limits = Limits(max_chunks_per_s=rng.choice([6, 20]), credit_ms=rng.choice([1_000, 120_000]))
        self.world = World(settings, limits)
        self._recorder = 0
        self._fresh = True

    def walk(self, length: int = 40) -> World:
        """From the first connection to the end, or to nowhere."""
        world, rng = self.world, self._rng
        world.call(rng.choice(["connect", "connect", "connect", "start", "start", "use_blocks"]))
        if rng.random() < 0.5:
            world.advance(0.5)
        world.call("start")
        world.call("connect")
        steps = self._steps()
        weights = [weight for weight, _ in steps]
        for _ in range(length):
            rng.choices(steps, weights)[0][1]()
        if rng.random() < 0.8:
            world.call("stop")
        if rng.random() < 0.9:
            world.settle(in_blocks=rng.random() < 0.3)
        else:
            world.call("close")
        return world

    def _steps(self) -> list[tuple[int, Callable[[], Any]]]:
        world, rng = self.world, self._rng
        return [
            (12, self._record),
            (1, self._new_recorder),
            (8, lambda: world.advance(rng.choice([0.05, 0.3, 1.0, 4.0, 11.0]))),
            (5, lambda: world.recognise(final=rng.random() < 0.5, commit=rng.random() < 0.7)),
            (2, world.measure),
            (3, lambda: world.cut(rng.randint(0, 4), rng.randint(0, 4), server_hears=rng.random() < 0.6)),
            (1, lambda: world.cut(code=rng.choice([1006, 1013, 4400, 4409]))),
            (1, world.go_silent),
            (1, self._delay),
            (1, self._unreachable),
            (1, self._unposted),
            (1, world.restart),
            (2, world.damage),
            (2, world.drop),
            (2, world.repeat),
            (2, lambda: world.call(rng.choice(["pause", "resume", "start", "flush"]))),
            (1, lambda: world.call(rng.choice(["reconnect", "use_blocks", "reconnect", "handle_timer"]))),
            (1, lambda: world.call("receive_text", frame=rng.choice(['{"type":"server:new"}', "no", "[]"]))),
        ]

    def _record(self) -> None:
        for _ in range(self._rng.randint(1, 6)):
            self._capture()
            self.world.advance(self._rng.choice([0.0, 0.1, 0.25]))

    def _capture(self) -> None:
        before = self.world.client.ledger.captured
        payload = self._rng.randbytes(self._rng.randint(1, 60))
        mime = MIME if self._fresh else None
        self.world.capture(payload, self._rng.choice([200, 250, 300]), self._recorder, mime)
        self._fresh = self._fresh and self.world.client.ledger.captured == before

    def _new_recorder(self) -> None:
        if not self._fresh:
            self._recorder, self._fresh = self._recorder + 1, True
            self._capture()

    def _delay(self) -> None:
        self.world.delay_s = self._rng.choice([0.0, 0.05, 0.4, 2.0])

    def _unreachable(self) -> None:
        world, rng = self.world, self._rng
        world.reachable, world.answering = rng.choice([(False, False), (True, False), (True, True)])
        world.advance(rng.choice([2.0, 10.0]))
        world.reachable, world.answering = rng.random() < 0.8, rng.random() < 0.9

    def _unposted(self) -> None:
        choices: list[Posting] = ["answered", "answered", "refused", "busy", "unanswered", "forgotten"]
        self.world.posting = self._rng.choice(choices)


def trace(seed: int) -> dict[str, Any]:
    """One trace, as the module's docstring describes it."""
    world = Walker(seed).walk()
    session = {
        "session_id": world.client.session_id,
        "token": "token-0",
        "settings": asdict(world.settings),
    }
    return {"seed": seed, "session": session, "steps": world.steps}


def main() -> None:
    """Writes the traces."""
    parser = argparse.ArgumentParser(description="Write seeded traces of the client's session.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8") as file:
        for seed in range(options.seed, options.seed + options.count):
            file.write(json.dumps(trace(seed), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

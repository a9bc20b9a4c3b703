"""What a call of `ClientSession` was, and what came of it, as its twin in the browser reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import msgspec

from rtstt_lab.protocol import events as ev
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.messages import split_audio


class Call(NamedTuple):
    """A method, its arguments without the time, what it returned, and the key of the error it raised."""

    name: str
    arguments: dict[str, Any]
    returned: Any
    raised: str | None


def step(
    call: Call,
    now: float,
    client: ClientSession,
    events: Sequence[ev.ClientEvent],
    data: Sequence[str | bytes],
) -> dict[str, Any]:
    """One step of a trace: the call, what it made the client say and do, and where that stands now."""
    return {
        "call": call.name,
        "args": {name: _plain(value) for name, value in call.arguments.items()},
        "returns": call.returned,
        "raises": call.raised,
        "now": now,
        "events": [ev.as_json(event) for event in events],
        "data": [_plain_frame(frame) for frame in data],
        "deadline": client.next_deadline(),
        "state": {
            "link": client.link.value,
            "phase": client.phase.value,
            "mode": client.mode.value,
            "shown": client.shown.value,
            "held_ms": client.held_ms,
            "finals": len(client.finals),
            "ledger": asdict(client.ledger),
            "latency": msgspec.to_builtins(client.latency),
        },
    }


def _plain(value: Any) -> Any:
    """As JSON has it: bytes as base64, messages as objects."""
    return msgspec.to_builtins(value)


def _plain_frame(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, str):
        return {"text": json.loads(frame)}
    header, payload = split_audio(frame)
    return {"audio": msgspec.to_builtins(header), "payload": _plain(payload)}

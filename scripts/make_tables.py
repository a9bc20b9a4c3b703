"""Writes the notebook's ``static/tables.js`` from `rtstt_lab.protocol`'s tables; ``--check`` only compares.

The browser's machine decides nothing of its own: what follows what, and what a person is shown, is said once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from rtstt_lab.protocol import events, lifecycle, messages
from rtstt_lab.protocol.client import NEVER_RETRIED
from rtstt_lab.protocol.client_link import CLOSED_BY_CLIENT, ClientSettings
from rtstt_lab.protocol.lifecycle import Link, Phase

TARGET: Final = Path(__file__).resolve().parents[1] / "src/rtstt_lab/notebook/static/tables.js"
HEAD: Final = (
    "/** Made by scripts/make_tables.py from rtstt_lab.protocol; change that, and run `make docs`. */\n"
)


def tables() -> dict[str, Any]:
    """What the JavaScript module exports, by name."""
    return {
        "PROTOCOL": messages.PROTOCOL,
        "MAX_CHUNK_BYTES": messages.MAX_CHUNK_BYTES,
        "MAX_DURATION_MS": messages.MAX_DURATION_MS,
        "NEVER_RETRIED": sorted(NEVER_RETRIED),
        "CLOSED_BY_CLIENT": CLOSED_BY_CLIENT,
        "LIMITS": msgspec.structs.asdict(messages.Limits()),
        "SETTINGS": msgspec.to_builtins(ClientSettings()),
        "LINK": {link: dict(row) for link, row in lifecycle.LINK.items()},
        "PHASE": {phase: dict(row) for phase, row in lifecycle.PHASE.items()},
        "TERMINAL": sorted(lifecycle.TERMINAL),
        "SHOWN": {link: {phase: lifecycle.shown(link, phase) for phase in Phase} for link in Link},
        "RECONCILED": {
            client: {server: lifecycle.reconcile(client, server, ()) for server in Phase} for client in Phase
        },
        **schemas(),
    }


def schemas() -> dict[str, Any]:
    """JSON Schemas of the messages, by name, without what only people read; and the name of each ``type``."""
    kinds = (*get_args(messages.ServerMessage), messages.AudioHeader, *get_args(messages.ClientMessage))
    _, components = msgspec.json.schema_components(
        (*kinds, messages.BlockReceipt, events.ChunksLost), ref_template="{name}"
    )
    del components[messages.AudioText.__name__]  # the browser sends binary frames
    names = {kind.__struct_config__.tag: kind.__name__ for kind in kinds if kind.__name__ in components}
    return {"MESSAGES": names, "SCHEMAS": _without_prose(components)}


def _without_prose(schema: Any) -> Any:
    match schema:
        case dict():
            prose = ("title", "description")
            return {
                key: _without_prose(value)
                for key, value in schema.items()
                if not (key in prose and isinstance(value, str))
            }
        case list():
            return [_without_prose(value) for value in schema]
    return schema


def source() -> str:
    """The module."""
    return HEAD + "".join(
        f"\nexport const {name} = {_laid_out(value)};\n" for name, value in tables().items()
    )


def _laid_out(value: Any) -> str:
    """JSON with one line an entry of the outermost object."""
    if not isinstance(value, dict):
        return json.dumps(value)
    lines = (f"  {json.dumps(key)}: {json.dumps(entry)},\n" for key, entry in value.items())
    return "{\n" + "".join(lines) + "}"


def main() -> int:
    """Writes, or compares and says what to do."""
    if "--check" in sys.argv[1:]:
        if TARGET.read_text("utf-8") == source():
            return 0
        print(f"{TARGET.name} is stale: run scripts/make_tables.py", file=sys.stderr)
        return 1
    TARGET.write_text(source(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

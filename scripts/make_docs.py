"""Writes what is made from the code; ``--check`` only compares.

The diagram and tables in ``docs/lifecycle.md`` and the checks in ``docs/conformance.md`` (between their
markers), a JSON Schema of each message in ``docs/schemas/``, the AsyncAPI description ``docs/asyncapi.json``,
the list ``docs/requirements.md``, and ``environment.yml``.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

import make_environment
import make_promises
import make_requirements
from rtstt_lab.lab.conformance.report import markdown
from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import (
    LINK,
    PHASE,
    Link,
    LinkEvent,
    Phase,
    PhaseEvent,
    Shown,
    shown,
    shown_edges,
)

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
BEGIN: Final = "<!-- made by scripts/make_docs.py: begin -->"
END: Final = "<!-- made by scripts/make_docs.py: end -->"
CLIENT: Final[tuple[type[wire.Message], ...]] = (wire.AudioHeader, *get_args(wire.ClientMessage))
SERVER: Final[tuple[type[wire.Message], ...]] = get_args(wire.ServerMessage)
BODIES: Final[tuple[type[wire.Item], ...]] = (
    wire.CreateSession,
    wire.CreatedSession,
    wire.RenewToken,
    wire.BlockReceipt,
)


def diagram() -> str:
    """The eight states and what leads from one to another, as Mermaid draws them."""
    causes: dict[tuple[Shown, Shown], set[str]] = defaultdict(set)
    for here, there, cause in shown_edges():
        causes[here, there].add(cause)
    order = list(Shown)
    edges = sorted(causes, key=lambda edge: (order.index(edge[0]), order.index(edge[1])))
    lines = [f"    {a.title()} --> {b.title()} : {', '.join(sorted(causes[a, b]))}" for a, b in edges]
    ends = [f"    {state.title()} --> [*]" for state in (Shown.COMPLETED, Shown.ERROR)]
    start = f"    [*] --> {Shown.CONNECTING.title()}"
    return "\n".join(["```mermaid", "stateDiagram-v2", start, *lines, *ends, "```"])


def table(rows: Mapping[Any, Mapping[Any, StrEnum]], events: Sequence[StrEnum], name: str) -> str:
    """A transition table: states down, events across."""
    head = [f"| {name} | " + " | ".join(events) + " |", "|---" * (len(events) + 1) + "|"]
    body = [
        "| **" + state + "** | " + " | ".join(row.get(e, "·") for e in events) + " |"
        for state, row in rows.items()
    ]
    return "\n".join(head + body)


def shown_table() -> str:
    """What each pair of link and phase is shown as."""
    head = ["| link \\ phase | " + " | ".join(Phase) + " |", "|---" * (len(Phase) + 1) + "|"]
    body = [
        f"| **{link}** | " + " | ".join(shown(link, phase).title() for phase in Phase) + " |" for link in Link
    ]
    return "\n".join(head + body)


def lifecycle(text: str) -> str:
    """The document with what lies between its markers made anew."""
    parts = [
        diagram(),
        table(LINK, list(LinkEvent), "link"),
        table(PHASE, list(PhaseEvent), "phase"),
        shown_table(),
    ]
    return between_markers(text, parts)


def conformance(text: str) -> str:
    """The document with its tables made anew: the checks, and the sentences that they prove."""
    return between_markers(text, [markdown(CHECKS, "en"), make_promises.HEADING, make_promises.render()])


def between_markers(text: str, parts: Sequence[str]) -> str:
    """A document with what lies between its markers replaced."""
    made = "\n\n".join([BEGIN, *parts, END])
    return re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: made, text, flags=re.DOTALL)


def schemas() -> dict[str, Any]:
    """JSON Schema of every message and body, by the name of its type."""
    kinds = [*CLIENT, *SERVER, *BODIES]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {name: _one_paragraph(schema) for name, schema in components.items()}


def schema_files() -> dict[str, str]:
    """One self-contained file for each message and body."""
    files = {}
    for kind in (*CLIENT, *SERVER, *BODIES):
        schema = msgspec.json.schema(kind)
        schema["$defs"] = {name: _one_paragraph(part) for name, part in schema["$defs"].items()}
        files[f"{kind.__name__}.json"] = _dump(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        )
    return files


def asyncapi() -> dict[str, Any]:
    """The WebSocket as AsyncAPI 3 describes it."""
    components = schemas()
    named = {kind.__name__: kind for kind in (*CLIENT, *SERVER)}
    channel = "#/channels/session"

    def message(kind: type[wire.Message]) -> dict[str, Any]:
        binary = kind is wire.AudioHeader
        return {
            "name": kind.__struct_config__.tag,
            "summary": components[kind.__name__]["description"],
            "contentType": "application/octet-stream" if binary else "application/json",
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        }

    def operation(action: str, kinds: tuple[type[wire.Message], ...]) -> dict[str, Any]:
        refs = [{"$ref": f"{channel}/messages/{kind.__name__}"} for kind in kinds]
        return {"action": action, "channel": {"$ref": channel}, "messages": refs}

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rtstt_lab streaming",
            "version": wire.PROTOCOL,
            "description": "The WebSocket of a session, from the server's side; see docs/protocol.md.",
        },
        "channels": {
            "session": {
                "address": "/api/streaming/sessions/{session_id}/ws",
                "parameters": {"session_id": {"description": "as POST /api/streaming/sessions answered"}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in named},
            }
        },
        "operations": {"hear": operation("receive", CLIENT), "say": operation("send", SERVER)},
        "components": {
            "messages": {name: message(kind) for name, kind in named.items()},
            "schemas": components,
        },
    }


def documents() -> dict[Path, str]:
    """Every file that is made, with its text."""
    made = {DOCS / "schemas" / name: text for name, text in schema_files().items()}
    made[DOCS / "asyncapi.json"] = _dump(asyncapi())
    made[make_requirements.DOCUMENT] = make_requirements.render()
    made[make_environment.FILE] = make_environment.render()
    for name, write in (("lifecycle.md", lifecycle), ("conformance.md", conformance)):
        made[DOCS / name] = write((DOCS / name).read_text("utf-8"))
    return made


def stale() -> list[str]:
    """Files that are not as they would be made now, or that nothing makes any more."""
    made = documents()
    wrong = [path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text]
    wrong += [path for path in (DOCS / "schemas").glob("*") if path not in made]
    return sorted(path.relative_to(DOCS.parent).as_posix() for path in wrong)


def main() -> int:
    """Writes, or with ``--check`` compares."""
    if "--check" in sys.argv[1:]:
        for name in stale():
            print(f"{name} is stale: run scripts/make_docs.py")
        return 1 if stale() else 0
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


def _one_paragraph(schema: dict[str, Any]) -> dict[str, Any]:
    """A docstring's first paragraph is the description; its list of attributes goes to the fields."""
    text = cleandoc(schema.get("description", ""))
    attributes = text.partition("Attributes:\n")[2]
    fields = dict(re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w+: |\Z)", attributes, flags=re.M | re.S))
    properties = {
        name: part | ({"description": " ".join(fields[name].split())} if name in fields else {})
        for name, part in schema.get("properties", {}).items()
    }
    described = schema | {"description": " ".join(text.split("\n\n")[0].split())}
    return described | ({"properties": properties} if properties else {})


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""Which check proves which sentence of ``docs/protocol.md``: the second table of ``docs/conformance.md``.

``tests/lab/conformance/promises.toml`` holds, section by section, each sentence and the checks that prove it,
or a dash and the reason why nobody can see it from outside. What the document says and the file does not is
an error, and so is the reverse.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "protocol.md"
PROMISES: Final = ROOT / "tests" / "lab" / "conformance" / "promises.toml"
UNSEEN: Final = "–"
HEADING: Final = """## Sentence by sentence

What [the protocol](protocol.md) says, in its order, and the checks that prove it of a server; after a dash,
why none can. A black box shows what comes over the wire and when. It does not show what a server keeps and
where, what it does under a load that nobody outside can make, or what becomes of it when it is killed. What
is the client's to keep this package's own clients are tested for."""
_SHOWN: Final = 120


def sentences(markdown: str) -> dict[str, list[str]]:
    """A document's sentences by section; each row of a table is one, code is none."""
    found: dict[str, list[str]] = {}
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    for section in re.split(r"^##? ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        parts = re.split(r"\n\s*\n|\n(?=- |\d+\. |\|)", body)
        found[title] = [said for part in parts for said in _split(" ".join(part.split()))]
    return found


def _split(part: str) -> Iterator[str]:
    if part.startswith("|"):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", part.strip("|"))]
        if set(part) - set("|-") and cells not in (["call", "answer"], ["client", "server"]):
            yield ": ".join(cells)
        return
    item = re.sub(r"^(- |\d+\. )", "", part)
    # A heading in bold belongs to what it heads.
    for said in re.split(r"(?<=\.)\s+(?=[A-Z`*\[\d])", re.sub(r"(\*\*[^*]+)\.\*\* ", r"\1:** ", item)):
        if said:
            yield said


def promises() -> dict[str, dict[str, str]]:
    """Section, sentence, and what proves it."""
    return tomllib.loads(PROMISES.read_text("utf-8"))


def render(made: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The table; a row without a check says why."""
    rows = ["| the protocol says | proved by |", "|---|---|"]
    for title, section in (made or promises()).items():
        rows.append(f"| **{title}** | |")
        for said, proof in section.items():
            rows.append(f"| {_short(said)} | {_linked(proof)} |")
    return "\n".join(rows)


def checks_of(proof: str) -> list[str]:
    """The checks that a proof names; none where nobody outside can see."""
    return [] if proof.startswith(UNSEEN) else proof.partition("(")[0].split()


def _linked(proof: str) -> str:
    names, bracket, remark = proof.partition("(")
    return (
        proof
        if proof.startswith(UNSEEN)
        else " ".join(f"`{name}`" for name in names.split()) + (f" ({remark}" if bracket else "")
    )


def _short(said: str) -> str:
    said = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", said).replace("**", "")
    if len(said) <= _SHOWN:
        return said
    cut = said[:_SHOWN].rsplit(" ", 1)[0]
    return cut + ("`" if cut.count("`") % 2 else "") + " …"

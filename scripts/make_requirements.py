"""What ``docs/requirements.md`` says: ``tests/project/requirements.toml`` and the marks of the tests.

A requirement is *proved* when tests carry its id and one line is named that, once broken, turns one of them
red (``tests/project/test_requirements.py`` breaks each in ``make test-long``). It is *open* when the table
says what is missing.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests/project/requirements.toml"
DOCUMENT = ROOT / "docs/requirements.md"

HEAD = """\
# Requirements, and the proof of each

Written by `make docs` from `tests/project/requirements.toml` and the tests' own marks; a test holds it true.
*Proved*: the tests named carry the id, and the line named, once broken, turns one of them red (all are
broken, one by one, in `make test-long`). *Partly*: that much is proved, the rest is open. *Open*: nothing is
claimed.

| id | requirement | state | proved by | red when this line breaks | still open |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One line, broken.

    Attributes:
        file: from the repository's root.
        was: a piece of it that occurs once.
        becomes: what stands there instead.
        test: the node id of the test that turns red.
    """

    file: str
    was: str
    becomes: str
    test: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of the specification.

    Attributes:
        id: its name.
        title: in a few words.
        open: what is not proved yet; "" if nothing.
        breaks: the proof's proof; None where nothing is proved.
    """

    id: str
    title: str
    open: str = ""
    breaks: Mutation | None = None

    @property
    def state(self) -> str:
        """``proved``, ``partly`` or ``open``."""
        if self.breaks is None:
            return "open"
        return "partly" if self.open else "proved"


def read() -> list[Requirement]:
    """The table, in the order of the specification."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Requirement(
            name, row["title"], row.get("open", ""), Mutation(**row["breaks"]) if "breaks" in row else None
        )
        for name, row in rows.items()
    ]


def marks() -> dict[str, set[str]]:
    """Requirement id → the node ids, without parameters, of tests, classes and files that carry it."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for statement in ast.parse(file.read_text("utf-8")).body:
            name = getattr(statement, "name", "")
            for marked in _marked(statement):
                found.setdefault(marked, set()).add(f"{path}::{name}" if name else path)
    return found


def _marked(statement: ast.AST) -> Iterator[str]:
    for node in ast.walk(statement):
        match node:
            case ast.Call(func=ast.Attribute(attr="requirement"), args=ids):
                yield from (str(argument.value) for argument in ids if isinstance(argument, ast.Constant))


def render() -> str:
    """The whole document."""
    marked = marks()
    return HEAD + "".join(f"| {' | '.join(_cells(row, marked.get(row.id, set())))} |\n" for row in read())


def _cells(row: Requirement, tests: set[str]) -> tuple[str, ...]:
    files = sorted({f"`{test.partition('::')[0].removeprefix('tests/')}`" for test in tests})
    line = "–"
    if row.breaks:
        line = f"`{row.breaks.file.removeprefix('src/rtstt_lab/')}`: `{row.breaks.was}`".replace("|", r"\|")
    return row.id, row.title, row.state, ", ".join(files) or "–", line, row.open or "–"


def main() -> int:
    """Writes the file; returns 0."""
    DOCUMENT.write_text(render(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The widget's modules as the one ES module that anywidget can load; for node each is a module of its own.

A module becomes a function called once, so that its private names stay its own; the entry keeps its default
export.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Final

from rtstt_lab.texts import LANGUAGES, catalogue

_STATIC: Final = files("rtstt_lab.notebook") / "static"
_ROOMS: Final = ("notebook.", "errors.")
_IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)


@cache
def bundle(entry: str = "capture") -> str:
    """The source of ``static/{entry}.js`` with everything that it imports.

    Args:
        entry: a module that has a default export and no other.
    """
    modules: dict[str, str] = {}
    _collect(entry, modules)
    main = modules.pop(entry)
    return "\n".join([*(_wrapped(name, source) for name, source in modules.items()), _linked(main)])


def stylesheet() -> str:
    """The widget's CSS."""
    return (_STATIC / "capture.css").read_text("utf-8")


def _collect(name: str, modules: dict[str, str]) -> None:
    source = _source(name)
    for match in _IMPORT.finditer(source):
        if match[2] not in modules:
            _collect(match[2], modules)
    modules[name] = source


def _source(name: str) -> str:
    if name == "catalogues":
        return f"export const CATALOGUES = {json.dumps(_catalogues(), ensure_ascii=False)};"
    return (_STATIC / f"{name}.js").read_text("utf-8")


def _catalogues() -> dict[str, dict[str, str]]:
    return {
        language: {key: text for key, text in catalogue(language).items() if key.startswith(_ROOMS)}
        for language in LANGUAGES
    }


def _linked(source: str) -> str:
    return _IMPORT.sub(r"const \1 = module_\2;", source)


def _wrapped(name: str, source: str) -> str:
    names = ", ".join(_EXPORT.findall(source))
    return (
        f"const module_{name} = (() => {{\n{_EXPORT.sub('', _linked(source))}\nreturn {{ {names} }};\n}})();"
    )

"""Every text that a person reads, in English and Spanish.

One JSON file a room and language (``texts/en/errors.json``); a key's first part names its file. Placeholders
are ``str.format`` fields. The browser reads the same files, so nothing is written twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

LANGUAGES: Final = ("en", "es")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All texts of one language, flat: ``{"errors.audio_empty": "…"}``.

    Args:
        language: one of `LANGUAGES`.

    Raises:
        KeyError: for a language that has no catalogue.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    texts: dict[str, str] = {}
    for file in sorted(files(__name__).joinpath(language).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".json"):
            room = file.name.removesuffix(".json")
            texts |= {f"{room}.{key}": text for key, text in json.loads(file.read_text("utf-8")).items()}
    return texts


def text(key: str, language: str = "en", /, **parameters: object) -> str:
    """The text of ``key`` with its placeholders filled in.

    Raises:
        KeyError: for an unknown key or a placeholder that was not given.
    """
    return catalogue(language)[key].format(**parameters)


def preferred_language(environment: Mapping[str, str]) -> str:
    """The language that the person's locale asks for: the first of LC_ALL, LC_MESSAGES, LANG that is set.

    ``RTSTT_LANG`` goes before them, for one command in another language.

    Args:
        environment: usually ``os.environ``.

    Returns:
        One of `LANGUAGES`; English where the locale names neither.
    """
    for name in ("RTSTT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "es" if value.lower().startswith("es") else "en"
    return "en"

"""A Whisper that reads the words which stand as one batch, and goes on from there.

CTranslate2 reads a prompt in one pass, a millisecond a token, and all else token by token, ten times as dear.
Its prompt ends at the first token behind start-of-transcript whose number is not between that one's and that
of no-timestamps (``get_prompt_length`` in its ``whisper.cc``), so text never belongs to it. Numbers are but
an order of rows. Here the rows are put in another order in a copy of the model: start-of-transcript comes
first, and text belongs to the prompt. The prompt's last token must be outside again, or CTranslate2 asks for
timestamps; so the commonest tokens have copies at the end, never decoded, and a prefix ends with one of them.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from typing import Final as Constant

import numpy as np
from numpy.typing import NDArray

_BINARY_VERSION: Constant = 6
_TOKENS: Constant = (b"decoder/embeddings/", b"decoder/projection/")
_FILES: Constant = ("model.bin", "tokenizer.json", "config.json")
ORDER_VERSION: Constant = 1
"""Of what is written here; part of the name of a copy."""
_START: Constant = "<|startoftranscript|>"
_NO_TIMESTAMPS: Constant = "<|notimestamps|>"
_COPY: Constant = "<|copy of {}|>"
_COPIES: Constant = 4000
"""Byte pairs are numbered as they were found, so the first are the commonest: 78 % of the words of running
English end with one of so many, 64 % of Spanish, 43 % of Russian; any other last word is decoded anew. Each
thousand costs 0.7 % of a token's time."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """How a loaded model takes a prefix; by default it takes none.

    Attributes:
        ends: for each token that a prefix may end with, its copy.
        timestamps: the tokens of times, which must be suppressed behind a prefix.
    """

    ends: Mapping[int, int] = field(default_factory=dict)
    timestamps: range = range(0)

    def shortened(self, tokens: Sequence[int]) -> list[int]:
        """The longest beginning that can be a prefix."""
        kept = list(tokens)
        while kept and kept[-1] not in self.ends:
            kept.pop()
        return kept

    def written(self, prefix: Sequence[int]) -> list[int]:
        """A prefix as it stands in the prompt."""
        return [*prefix[:-1], self.ends[prefix[-1]]] if prefix else []


def reordered(folder: Path, copy: Path) -> Prefixes:
    """Makes sure that a copy of a model with its tokens in the other order is there.

    It is a file, since CTranslate2 keeps what it is given in memory for as long as the model.

    Args:
        folder: the model, as CTranslate2 loads it.
        copy: the folder of the copy; made whole or not at all, also by several processes at once.

    Returns:
        How prefixes are given to the copy. None can be, and no copy is made, of a model without its tokenizer
        or in a format that is not known here.

    Raises:
        OSError: a file can't be read or written.
    """
    names = _names(folder)
    if _START not in names or not all((folder / name).is_file() for name in _FILES):
        return Prefixes()
    start = names.index(_START)
    order = [start, *range(start), *range(start + 1, len(names))]
    place = {old: new for new, old in enumerate(order)}
    copies = range(min(_COPIES, start - 1))
    ends = {place[token]: len(names) + number for number, token in enumerate(copies)}
    prefixes = Prefixes(ends, range(names.index(_NO_TIMESTAMPS) + 1, len(names)))
    if copy.is_dir():
        return prefixes
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".reordering-", dir=copy.parent) as made:
        fresh = Path(made) / copy.name
        fresh.mkdir()
        with (folder / "model.bin").open("rb") as source, (fresh / "model.bin").open("wb") as target:
            if not _with_rows(source, target, len(names), np.array([*order, *copies])):
                return Prefixes()
            target.flush()
            os.fsync(target.fileno())
        renamed = [names[old] for old in order] + [_COPY.format(token) for token in copies]
        _write(fresh / "vocabulary.json", renamed)
        _write(fresh / "tokenizer.json", _moved_tokenizer(_read(folder / "tokenizer.json"), place))
        _write(fresh / "config.json", _moved_config(_read(folder / "config.json"), place, ends))
        if (features := folder / "preprocessor_config.json").is_file():
            shutil.copyfile(features, fresh / features.name)
        try:
            fresh.rename(copy)
        except OSError:
            if not copy.is_dir():  # nobody else made it meanwhile
                raise
    return prefixes


def _names(folder: Path) -> list[str]:
    """What each token is called, in one of the two forms that CTranslate2 reads."""
    if (file := folder / "vocabulary.json").is_file():
        return list(_read(file))
    if (file := folder / "vocabulary.txt").is_file():
        return file.read_text("utf-8").removesuffix("\n").split("\n")
    return []


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def _moved_config(
    config: dict[str, Any], place: Mapping[int, int], ends: Mapping[int, int]
) -> dict[str, Any]:
    moved = {
        key: [place[token] for token in value]
        for key, value in config.items()
        if key in ("lang_ids", "suppress_ids", "suppress_ids_begin")
    }
    moved["suppress_ids"] = [*moved.get("suppress_ids", ()), *ends.values()]
    return config | moved


def _moved_tokenizer(tokenizer: dict[str, Any], place: Mapping[int, int]) -> dict[str, Any]:
    """With the new numbers; special tokens keep theirs only if the vocabulary has them, too."""
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    vocabulary = {**tokenizer["model"]["vocab"], **special}
    tokenizer["model"]["vocab"] = {text: place[token] for text, token in vocabulary.items()}
    for token in tokenizer["added_tokens"]:
        token["id"] = place[token["id"]]
    tokenizer["post_processor"] = None  # it would put control tokens around a text, by their old numbers
    return tokenizer


def _with_rows(source: IO[bytes], target: IO[bytes], vocabulary: int, rows: NDArray[np.intp]) -> bool:
    """Copies the model with these rows of its embeddings and of its output; false for an unknown format.

    The format is that of CTranslate2's ``ModelSpec.save``.
    """

    def copied(size: int) -> bytes:
        part = source.read(size)
        target.write(part)
        return part

    def number(code: str) -> int:
        return int(struct.unpack(f"<{code}", copied(struct.calcsize(code)))[0])

    if number("I") != _BINARY_VERSION:
        return False
    copied(number("H"))  # the specification's name
    number("I")  # its revision
    for _ in range(number("I")):
        name = copied(number("H"))
        shape = struct.unpack(f"<{(rank := source.read(1)[0])}I", source.read(4 * rank))
        kind, size = struct.unpack("<BI", source.read(5))
        data = source.read(size)
        if name.startswith(_TOKENS) and shape and shape[0] == vocabulary:
            data = np.frombuffer(data, np.uint8).reshape(vocabulary, -1)[rows].tobytes()
            shape = (len(rows), *shape[1:])
        target.write(struct.pack(f"<B{rank}IBI", rank, *shape, kind, len(data)))
        target.write(data)
    shutil.copyfileobj(source, target)  # names that two parts of the model share
    return True

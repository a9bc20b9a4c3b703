"""Inputs that are nearly right: valid ones, changed by chance, each made again from its number alone."""

from __future__ import annotations

import binascii
import copy
import json
import random
import struct
from collections.abc import Sequence
from typing import Any

MOST_CHANGES = 4
MOST_BYTES = 300_000
EDGES = (0, 1, 2, 63, 64, 65, 127, 128, 255, 256, 4_095, 4_096, 4_097, 65_535, 1_000_000, 1_000_001)
EDGES += (2**24, 2**31 - 1, 2**31, 2**32 - 1)
LENGTH = struct.Struct("<I")
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2**31 - 1,
        2**31,
        2**53 - 1,
        2**53,
        2**63,
        10**30,
        0.5,
        -0.0,
        1e308,
        1e400,
    ),
    *(
        "",
        "x",
        "x" * 300,
        "x" * 5_000,
        "\0",
        "\u202e",
        "\ud800",
        "ñ" * 256,
        "audio/pcm;rate=16000",
        "audio/webm",
    ),
    *([], {}, [[]], [0] * 300, {"type": "client:hello"}, "client:audio_chunk", "server:ack", "NaN"),
)


def rng_of(number: int) -> random.Random:
    """The chance behind one input."""
    return random.Random(number)  # noqa: S311 - to be repeated, not to be unguessable


def mutated(corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the corpus after a few changes: flips, cuts, splices, and lengths that lie."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, MOST_CHANGES)):
        rng.choice(_CHANGES)(data, corpus, rng)
    return bytes(data[:MOST_BYTES])


def mutated_json(text: str | bytes, rng: random.Random) -> str:
    """A JSON document with a few values replaced, dropped, repeated or nested; still JSON."""
    holder = {"": json.loads(text)}
    for _ in range(rng.randint(1, 3)):
        _change_value(holder, rng)
    return json.dumps(holder.get(""), ensure_ascii=rng.random() < 0.9)


def mutated_frame(frame: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """A binary frame whose header or payload was changed, and which is whole all the same.

    The changed payload has the length and the checksum that its header says: it is taken, not turned away.
    """
    (length,) = LENGTH.unpack_from(frame)
    head, payload = frame[LENGTH.size : LENGTH.size + length], frame[LENGTH.size + length :]
    if rng.random() < 0.5:
        head = mutated_json(head, rng).encode("utf-8", "surrogatepass")
    else:
        payload = mutated([payload, *corpus], rng)
        fields = json.loads(head) | {"bytes": len(payload), "crc32": binascii.crc32(payload)}
        head = json.dumps(fields).encode()
    return LENGTH.pack(len(head)) + head + payload


def _change_value(holder: Any, rng: random.Random) -> None:
    """Goes down to a random place and changes what is there."""
    key: Any = ""
    while True:
        inside = holder[key]
        keys = (
            list(inside)
            if isinstance(inside, dict)
            else list(range(len(inside)))
            if isinstance(inside, list)
            else []
        )
        if not keys or (key != "" and rng.random() < 0.2):
            break
        holder, key = inside, rng.choice(keys)
    what = rng.random()
    if what < 0.15 and isinstance(holder, dict) and key:
        del holder[key]
    elif what < 0.25:
        deep: Any = holder[key]
        for _ in range(rng.choice((1, 10, 400))):
            deep = [deep] if rng.random() < 0.5 else {"type": deep}
        holder[key] = deep
    elif what < 0.4 and isinstance(holder[key], int):
        holder[key] += rng.choice((-1, 1, 255, -(2**31)))
    elif what < 0.5:
        holder[key] = [holder[key]] * rng.choice((2, 64, 65))
    else:
        holder[key] = copy.deepcopy(rng.choice(VALUES))  # the next change may go inside


def _place(data: bytearray, rng: random.Random) -> int:
    """Somewhere in the data; headers are at the front, so that is where most is to be found."""
    return min(rng.randint(0, len(data)), rng.randint(0, len(data)))


def _flip(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 32)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    data[at : at + rng.randint(1, 16)] = rng.randbytes(rng.randint(0, 16))


def _truncate(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _cut_out(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.randint(1, 1 + len(data) // 4)]


def _repeat(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    piece = data[at : at + rng.choice((1, 4, 64, 1_000))]
    data[at:at] = piece * rng.choice((1, 2, 100)) if len(data) < MOST_BYTES // 2 else b""


def _splice(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(corpus)
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def _lie(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    """A length that is none: of four bytes in either order, or EBML's of eight."""
    at = rng.choice((0, _place(data, rng)))
    value = rng.choice(EDGES)
    lie = rng.choice(
        (
            LENGTH.pack(value),
            struct.pack(">I", value),
            (1 << 56 | value << rng.choice((0, 20))).to_bytes(8, "big"),
        )
    )
    data[at : at + len(lie)] = lie


_CHANGES = (_flip, _flip, _overwrite, _truncate, _cut_out, _repeat, _splice, _lie, _lie)

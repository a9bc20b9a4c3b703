"""Containers that claim more than they hold: decoded in a process of its own, in bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.audio.media import chirp, record

WEBM, OGG, MP4 = "audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4;codecs=opus"
SPEECH = chirp(2.0)
MAX_MB = 250
MAX_S = 20.0

_DECODE_BOUNDED = """
import sys
from tests.fuzz.containers import decode, peak_mb
from rtstt_lab.audio.allocation import bound_allocations
assert bound_allocations()
before = peak_mb()
_, refused = decode("audio/mp4;codecs=opus", [sys.stdin.buffer.read()])
print(refused > 0, peak_mb() - before)
"""

_DECODE = """
import json, sys, time
from rtstt_lab.audio.stream import StreamDecoder
from rtstt_lab.errors import AudioDecodeError
from rtstt_lab.types import AudioFormat

data, mime = sys.stdin.buffer.read(), sys.argv[1]
def decode(chunks):
    errors = 0
    with StreamDecoder(AudioFormat.from_mime(mime)) as decoder:
        for n, chunk in enumerate(chunks):
            try:
                decoder.feed(chunk, captured_end_s=1e9 * n)
            except AudioDecodeError:
                errors += 1
        decoder.finish()
        return decoder.samples, errors
def peak_kb():  # `resource` would tell the parent's if that is more
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
size, good = int(sys.argv[2]), int(sys.argv[3])
decode([data[:good]])
before, began = peak_kb(), time.process_time()
samples, errors = decode([data[at : at + size] for at in range(good, len(data), size)])
peak = peak_kb()
print(json.dumps([samples, errors, (peak - before) / 1024, time.process_time() - began]))
"""


def vint(value: int) -> bytes:
    """An EBML size of eight bytes."""
    return (1 << 56 | value).to_bytes(8, "big")


def nested() -> bytes:
    """EBML masters within masters within masters."""
    good = record(WEBM, SPEECH)
    deep, at = b"", good.find(bytes.fromhex("1F43B675"))
    for _ in range(20_000):
        deep += bytes.fromhex("1254C367") + vint(1 << 40)
    return good[:at] + deep + good[at:]


def hours() -> bytes:
    """A duration and cluster times that lie hours ahead."""
    good = record(WEBM, SPEECH)
    cluster = bytes.fromhex("1F43B675")
    at, data = good.find(cluster), bytearray()
    data += good[:at]
    for n in range(2_000):
        stamp = (n % 1_000 * 3_600_000).to_bytes(4, "big")
        data += cluster + vint(13 + 2) + b"\xe7\x84" + stamp + b"\xa3\x87\x81\x00\x00\x80\xfc\xff\xfe"
    return bytes(data)


def giant_block() -> bytes:
    """One block that claims 60 GB."""
    good = record(WEBM, SPEECH)
    at = good.find(bytes.fromhex("1F43B675"))
    stamp = b"\xe7\x81\x00"
    return (
        good[:at]
        + bytes.fromhex("1F43B675")
        + vint(1 << 36)
        + stamp
        + b"\xa3"
        + vint(60 << 30)
        + bytes(900_000)
    )


def sample_tables() -> bytes:
    """A movie header whose tables claim four thousand million samples."""
    many = (0xFFFFFFF0).to_bytes(4, "big")
    data = bytearray(record(MP4, SPEECH))
    for table in (b"stts", b"stsc", b"stsz", b"stco"):
        at = data.find(table)
        while at >= 0:
            count = at + (12 if table == b"stsz" else 8)
            data[count : count + 4] = many
            at = data.find(table, at + 4)
    return bytes(data)


def fragments() -> bytes:
    """Track runs that claim a thousand million samples each."""
    data = bytearray(record(MP4, SPEECH))
    at = data.find(b"trun")
    while at >= 0:
        data[at + 8 : at + 12] = (0x3FFFFFF0).to_bytes(4, "big")
        at = data.find(b"trun", at + 4)
    return bytes(data)


def pages() -> bytes:
    """Ogg pages of the longest Opus packets: hours of sound in a few bytes."""
    good = record(OGG, SPEECH)
    third = good.find(b"OggS", good.find(b"OggS", 4) + 4)
    packet = b"\xff\xbf" + bytes(2)  # 48 frames of 2.5 ms, or as libopus reads it
    body = packet * 255
    page = b"OggS\0\0" + (1 << 40).to_bytes(8, "little") + good[third + 14 : third + 18] + bytes(8)
    page += bytes([255]) + bytes([len(packet)]) * 255 + body
    return good[:third] + page * 700


@pytest.mark.requirement("S1", "O3")
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "chunked"])
@pytest.mark.parametrize(
    ("mime", "bomb"),
    [
        pytest.param(WEBM, nested, id="nested"),
        pytest.param(WEBM, hours, id="hours"),
        pytest.param(WEBM, giant_block, id="giant-block"),
        pytest.param(MP4, sample_tables, id="sample-tables"),
        pytest.param(MP4, fragments, id="fragments"),
        pytest.param(OGG, pages, id="pages"),
    ],
)
def test_a_container_bomb_costs_little(mime: str, bomb: Callable[[], bytes], whole: bool) -> None:
    """Whatever it claims: no more memory than its audio could need, no more time, and no dead process."""
    good, data = record(mime, SPEECH), bomb()
    size = len(data) if whole else 20_000
    done = subprocess.run(
        [sys.executable, "-c", _DECODE, mime, str(size), str(len(good))],
        input=good + data,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    samples, _, grown_mb, took_s = json.loads(done.stdout)
    assert grown_mb < MAX_MB
    assert took_s < MAX_S
    assert samples <= 16_000 * 3_600


@pytest.mark.requirement("S1", "O3")
def test_a_header_gets_no_more_room_than_it_can_need(root: Path) -> None:
    """A fragment that claims sixteen million samples is refused, and costs a server's process no memory."""
    data = bytearray(record(MP4, chirp(0.5)))
    count_at = data.index(b"trun") + 8
    data[count_at : count_at + 4] = (1 << 24).to_bytes(4, "big")
    done = subprocess.run(
        [sys.executable, "-c", _DECODE_BOUNDED], input=bytes(data), cwd=root, capture_output=True, check=True
    )
    refused, grown_mb = done.stdout.split()
    assert refused == b"True"
    assert float(grown_mb) < 50

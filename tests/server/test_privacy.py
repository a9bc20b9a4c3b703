"""No audio on disk, and no word of what was said in the log: by watching a server's every write (S2)."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pytest
import soundfile
from tests.audio.media import cut, record

from rtstt_lab.audio.files import read_samples

from .talk import CHUNK_BYTES, TOKEN, Talk, frame, start
from .watch import Trace, found, watch

WEBM = "audio/webm;codecs=opus"
BLOCK_BYTES = 5_000_000
PIECE_BYTES = 960_000


@pytest.fixture(scope="module")
def pcm(root):
    """Eight seconds of speech, 16-bit."""
    samples, _ = soundfile.read(root / "data/samples/en_laboratory.flac", dtype="int16", frames=8 * 16_000)
    return samples.tobytes()


@pytest.fixture(scope="module")
def webm(pcm):
    """The same as a browser records it."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768
    places = np.arange(3 * len(samples)) / 3
    return record(WEBM, np.interp(places, np.arange(len(samples)), samples).astype(np.float32))


@pytest.fixture(scope="module")
def noise():
    """Five megabytes of sound in which nobody speaks: every piece of it is unlike any other."""
    return np.random.default_rng(7).integers(-60, 60, BLOCK_BYTES // 2, np.int16).tobytes()


def test_the_search_finds_what_it_is_made_for(pcm, webm):
    """Audio is found as it is, in hexadecimal, in base64, in escapes; and not where it isn't."""
    for payload in (pcm, webm):
        pieces = (payload[at : at + 2_000] for at in range(0, len(payload), 2_000))
        piece = max(pieces, key=lambda piece: len(set(piece)))  # not a pause
        assert found(payload, b"x" + piece) is not None
        assert found(payload, piece.hex().encode()) is not None
        assert found(payload, repr(piece).encode()) is not None
        for shift in range(3):
            assert found(payload, base64.b64encode(bytes(shift) + piece)) is not None
        assert found(payload, bytes(10_000) + b"what was said" * 1_000) is None


def test_the_watch_misses_nothing(tmp_path):
    """A file that is there for an instant, a child's, one without a name: all are seen, and their bytes."""
    if not Trace.possible():
        pytest.skip("strace is not installed, or may not trace here")
    script = (
        "import os, subprocess, sys, tempfile\n"
        "with tempfile.TemporaryFile() as file:\n"
        "    os.pwrite(file.fileno(), b'of an instant', 5)\n"
        f'subprocess.run([sys.executable, \'-c\', \'open(r"{tmp_path}/child", "w").write("of a child")\'])\n'
        "os.write(os.memfd_create('nameless'), b'in memory')\n"
    )
    watcher = Trace(tmp_path)
    process = subprocess.Popen([*watcher.before, sys.executable, "-c", script])
    assert process.wait(60) == 0
    opened, written = watcher.end(process.pid)
    assert {str(tmp_path / "child"), "nameless"} < opened
    assert any(path.startswith(tempfile.gettempdir()) for path in opened - {str(tmp_path / "child")})
    everything = b"".join(written.values())
    for data in (b"of an instant", b"of a child", b"in memory"):
        assert data in everything


async def in_pcm(server, pcm):
    """A session of raw samples, with a damaged chunk and a message that is none."""
    made = server.create(language="en")
    chunks = [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm), CHUNK_BYTES)]
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await talk.socket.send('{"type": "client:audio_chunk", "data": "' + pcm[:3_000].hex() + '"}')
        await talk.until("server:error")
        await talk.chunk(0, chunks[0], crc32=1)
        await talk.until("server:error")
        await talk.control("stop", await talk.say(chunks))
        done = await talk.until("server:session_completed")
        await talk.send(type="client:ack", event=done["event"])
        await talk.close_code()
    return made, talk


async def in_webm(server, webm):
    """A session of what a browser records, with a stretch that no decoder understands."""
    made = server.create(language="en")
    chunks = cut(webm, list(range(0, len(webm), 2_000)))
    broken = len(chunks) // 2
    chunks[broken] = bytes(len(chunks[broken]))
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        for seq, payload in enumerate(chunks):
            await talk.chunk(seq, payload, mime=WEBM if seq == 0 else None)
            await talk.until("server:ack", seq=seq)
        await talk.control("stop", len(chunks))
        done = await talk.until("server:session_completed")
        await talk.send(type="client:ack", event=done["event"])
        await talk.close_code()
    return made, talk


async def in_blocks(server, pcm, noise):
    """A session without a WebSocket: five megabytes in one body, the speech first."""
    made = server.create(language="en")
    path = f"/{made['session_id']}/blocks"
    payloads = [pcm, *(noise[at : at + PIECE_BYTES] for at in range(0, len(noise), PIECE_BYTES))]
    begins_ms = [sum(map(len, payloads[:seq])) // 32 for seq in range(len(payloads) + 1)]
    records = [
        frame(seq, payload, duration_ms=len(payload) // 32, captured_ms=begins_ms[seq])
        for seq, payload in enumerate(payloads)
    ]
    body = control(1, "start", 0) + b"".join(records) + control(2, "stop", len(records))
    assert len(body) > BLOCK_BYTES
    events, after, receipt = [], 0, {"phase": "idle"}
    while receipt["phase"] != "completed":
        answer = server.rest("POST", f"{path}?after={after}", content=body)
        assert answer.status_code == 202, answer.text
        receipt = answer.json()
        events += receipt.get("events", [])
        after = max((event["event"] for event in events), default=0)
        next_seq = receipt["ack"]["next_seq"]
        body = (
            b"".join(records[next_seq:]) + control(2, "stop", len(records))
            if next_seq < len(records)
            else b""
        )
        await asyncio.sleep(0.05)
    return made, Talk(None, events)


def control(n, action, at_seq):
    """A button's record of a block."""
    told = json.dumps({"type": "client:control", "action": action, "n": n, "at_seq": at_seq}).encode()
    return struct.pack("<I", len(told)) + told


async def until_it_is_killed(server, pcm):
    """A session that is open when the server is told to end."""
    made = server.create(language="en")
    chunks = [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm), CHUNK_BYTES)]
    async with server.socket(made["session_id"]) as talk:
        await talk.hello(made["session_token"])
        await talk.control("start", 0)
        await talk.say(chunks)
        server.process.send_signal(signal.SIGTERM)
        await talk.until("server:session_completed")
    return made, talk


@pytest.mark.requirement("S2", "S3", "L5")
async def test_nothing_heard_is_written_and_nothing_said_is_logged(tmp_path, pcm, webm, noise):
    """Speech in two forms, five megabytes at once, errors and a forced end, logged at debug level.

    The server opens nothing for writing but transcript and journal, and writes no sample, no encoded byte and
    no token; its log and stdout hold no word either.
    """
    temporary, here = tmp_path / "tmp", tmp_path / "here"
    temporary.mkdir()
    here.mkdir()
    watcher = watch(tmp_path)
    if not watcher.complete:
        warnings.warn("no strace here: open files are looked at instead, which may miss some", stacklevel=1)
    environment = {"TMPDIR": str(temporary), "PYTHONASYNCIODEBUG": "1"}
    server = start(
        tmp_path / "server", "--log-level", "debug", before=watcher.before, cwd=here, **environment
    )
    try:
        watcher.begin(server.process.pid)
        assert server.rest("POST", content=noise).status_code == 413
        assert server.rest("GET", f"?token={TOKEN}", token=None).status_code == 401
        assert server.rest("POST", json={"prompt": 7, "language": pcm[:900].hex()}).status_code == 422
        talks = [await in_pcm(server, pcm), await in_webm(server, webm), await in_blocks(server, pcm, noise)]
        talks.append(await until_it_is_killed(server, pcm))
        said_on_stdout = await asyncio.to_thread(server.process.stdout.read)
        assert server.process.wait(60) == 0
        opened, written = watcher.end(server.process.pid)
    finally:
        server.end()

    known = (str(server.output), str(server.log), "/dev/null", "/proc/self/")
    elsewhere = [path for path in opened if not path.startswith(known) and "__pycache__" not in path]
    assert not elsewhere
    assert not watcher.complete or any(path.endswith(".jsonl") for path in opened)
    assert not [f for f in files(server.output) if f.suffix == ".jsonl"]
    assert not list(temporary.iterdir())
    assert not list(here.iterdir())
    log = server.log.read_bytes()
    everything = b"".join(
        (*written.values(), *(f.read_bytes() for f in files(server.output)), log, said_on_stdout)
    )
    assert len([f for f in files(server.output) if f.suffix == ".txt"]) == 4

    (tmp_path / "take.webm").write_bytes(webm)
    heard = read_samples(tmp_path / "take.webm")
    as_floats = np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768
    for payload in (pcm, webm, noise, as_floats.tobytes(), heard.tobytes()):
        assert found(payload, everything) is None

    tokens = {TOKEN} | {made["session_token"] for made, _ in talks}
    tokens |= {message["sync"]["token"] for _, talk in talks for message in talk.seen if message.get("sync")}
    assert len(tokens) >= 7
    assert not [token for token in tokens if token.encode() in everything]

    logged = (log + said_on_stdout).decode()
    words = {
        word["text"].strip(" .,")
        for _, talk in talks
        for final in talk.of("server:transcription_final")
        for word in final["words"]
    }
    assert "laboratory" in words
    assert not [word for word in words if len(word) > 4 and word in logged]
    assert "DEBUG rtstt_lab" in logged


def files(folder):
    return [file for file in folder.rglob("*") if file.is_file()]

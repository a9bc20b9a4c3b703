"""Encrypted connections under an authority of one's own: a real server, real certificates, wrong ways."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
import trustme

from rtstt_lab.client.api import SessionApi
from rtstt_lab.client.probe import Probe
from rtstt_lab.client.sources import pcm_chunks
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.client.tls import tls_context
from rtstt_lab.errors import ConnectionFailedError, UsageError
from rtstt_lab.types import SAMPLE_RATE_HZ

from .talk import TOKEN, running


@dataclass
class Authority:
    """An authority, the files of a certificate that it issued for localhost, and a stranger's."""

    cafile: Path
    stranger: Path
    certfile: Path
    keyfile: Path
    foreign_key: Path

    @classmethod
    def make(cls, folder):
        made = cls(*(folder / f"{name}.pem" for name in ("ca", "stranger", "cert", "key", "foreign_key")))
        authority, stranger = trustme.CA(), trustme.CA()
        issued = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(made.cafile)
        stranger.cert_pem.write_to_path(made.stranger)
        issued.private_key_and_cert_chain_pem.write_to_path(made.certfile)
        issued.private_key_pem.write_to_path(made.keyfile)
        stranger.issue_cert("localhost").private_key_pem.write_to_path(made.foreign_key)
        return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, authority):
    """A server that speaks TLS."""
    files = ("--ssl-certfile", str(authority.certfile), "--ssl-keyfile", str(authority.keyfile))
    with running(tmp_path_factory.mktemp("encrypted"), *files) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    """Authorities come from the test alone."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


async def sessions(url, cafile=None):
    """Makes and ends a session."""
    async with SessionApi(url, TOKEN, tls=tls_context(url, cafile)) as api:
        made = await api.create()
        await api.delete(made.session_id)


def address(server, host="localhost", scheme="https"):
    return f"{scheme}://{host}:{server.port}"


@pytest.mark.requirement("S3", "L3")
async def test_speech_over_an_encrypted_link(encrypted, authority, root):
    """Under one's own authority REST and WebSocket are encrypted, and what is said comes back."""
    samples, rate = soundfile.read(
        root / "data/samples/en_laboratory.flac", dtype="float32", frames=4 * 16_000
    )
    assert rate == SAMPLE_RATE_HZ

    async def source():
        for chunk in pcm_chunks(samples, chunk_ms=250):
            yield chunk

    client = StreamingClient(address(encrypted), token=TOKEN, cafile=authority.cafile, language="en")
    result = await client.run(source())
    assert result.error is None
    assert "laboratory" in result.text
    assert client._socket_url.startswith("wss://localhost:")


@pytest.mark.requirement("S3", "S4")
async def test_who_only_connects_keeps_nobody_out(encrypted, authority):
    """Of one address 64 sockets say nothing: the next is dropped, and other addresses get through."""
    async with AsyncExitStack() as silent:
        for _ in range(65):
            ways = await asyncio.open_connection("127.0.0.1", encrypted.port, local_addr=("127.0.0.5", 0))
            silent.callback(ways[1].transport.abort)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(ways[0].read(), 30) == b""
        await sessions(address(encrypted), authority.cafile)


@pytest.mark.requirement("S3")
async def test_the_environment_may_name_the_authority(encrypted, authority, monkeypatch):
    """SSL_CERT_FILE is as good as an argument, on loopback too."""
    with pytest.raises(ConnectionFailedError) as refused:
        await sessions(address(encrypted))
    assert refused.value.key == "tls_untrusted"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cafile))
    await sessions(address(encrypted))


@pytest.mark.requirement("S3")
async def test_an_examiner_believes_the_same_authorities(encrypted, authority, monkeypatch):
    """What ``rtstt conformance`` talks with takes SSL_CERT_FILE too, for requests and for sockets."""
    async with Probe(address(encrypted)) as probe:
        with pytest.raises(ConnectionFailedError) as refused:
            await probe.request("GET", "/healthz")
        assert refused.value.key == "tls_untrusted"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cafile))
    async with Probe(address(encrypted)) as probe:
        assert (await probe.request("GET", "/healthz")).status == 200
        await probe.open("/api/streaming/sessions/none/ws")


@pytest.mark.requirement("S3", "U1")
async def test_each_wrong_way_says_what_to_do(encrypted, server, authority):
    """Another authority, another name, no TLS where there should be some, and some where there is none."""
    for url, cafile, key, words in (
        (address(encrypted), authority.stranger, "tls_untrusted", "--cafile"),
        (address(encrypted, "127.0.0.1"), authority.cafile, "tls_untrusted", "127.0.0.1"),
        (address(encrypted, scheme="http"), None, "tls_expected", "https://"),
        (address(server, "127.0.0.1"), authority.cafile, "tls_not_spoken", "http://"),
    ):
        with pytest.raises(ConnectionFailedError) as refused:
            await sessions(url, cafile)
        assert refused.value.key == key
        assert words in refused.value.localized("en")
        assert words in refused.value.localized("es")
        assert "_ssl.c" not in str(refused.value)


@pytest.mark.requirement("S3")
def test_files_that_are_no_authorities(tmp_path, authority):
    """A missing file, one without certificates, and a key are refused before anything is sent."""
    (tmp_path / "empty.pem").touch()
    for file in (tmp_path / "none.pem", tmp_path / "empty.pem", authority.keyfile):
        with pytest.raises(UsageError, match=file.name):
            tls_context("https://localhost", file)
    assert tls_context("http://localhost", tmp_path / "none.pem") is None


@pytest.mark.requirement("S3", "U1")
@pytest.mark.parametrize(("trusted", "code"), [(True, 0), (False, 1)])
def test_the_command_line_names_the_authority(encrypted, authority, root, tmp_path, trusted, code):
    """``--cafile`` lets ``rtstt transcribe`` use such a server; under a stranger's one line says why not."""
    samples, rate = soundfile.read(root / "data/samples/en_laboratory.flac", dtype="int16", frames=4 * 16_000)
    soundfile.write(tmp_path / "clip.wav", samples, rate)
    cafile = authority.cafile if trusted else authority.stranger
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "rtstt_lab", "transcribe", str(tmp_path / "clip.wav"), "--fast"),
            *("--language", "en", "--server", address(encrypted), "--cafile", str(cafile)),
        ],
        env=os.environ | {"RTSTT_TOKEN": TOKEN, "RTSTT_LANG": "es"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert ("laboratory" in ended.stdout) is trusted
    assert ("no es de confianza" in ended.stderr) is not trusted
    assert "Traceback" not in ended.stderr
    assert TOKEN not in ended.stdout + ended.stderr


@pytest.mark.requirement("S3", "U1")
@pytest.mark.parametrize(("trusted", "code"), [(True, 0), (False, 1)])
def test_an_examiner_is_told_the_authority(encrypted, authority, tmp_path, trusted, code):
    """``rtstt conformance --cafile --token-file`` examines calls and sockets, or one line says why not."""
    cafile = authority.cafile if trusted else authority.stranger
    (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "rtstt_lab", "conformance", address(encrypted), "--cafile", str(cafile)),
            *("--token-file", str(tmp_path / "token"), "--rule", "REST.create", "--rule", "F.ping"),
        ],
        env=os.environ | {"RTSTT_TOKEN": "another-one-that-is-wrong", "RTSTT_LANG": "es"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert ("2 superadas, 0 fallidas" in ended.stdout) is trusted
    assert ("no es de confianza" in ended.stderr) is not trusted
    assert "Traceback" not in ended.stderr
    assert TOKEN not in ended.stdout + ended.stderr


@pytest.mark.requirement("S3")
def test_a_key_that_belongs_to_another_certificate(authority, tmp_path):
    """The server says so and does not start."""
    files = ("--ssl-certfile", str(authority.certfile), "--ssl-keyfile", str(authority.foreign_key))
    ended = subprocess.run(
        [*(sys.executable, "-m", "rtstt_lab", "serve", "--port", "0", "--model", "tiny.en"), *files],
        env=os.environ | {"RTSTT_TOKEN": TOKEN, "RTSTT_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "PEM" in ended.stderr
    assert "Traceback" not in ended.stderr

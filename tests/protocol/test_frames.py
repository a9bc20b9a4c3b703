"""Messages survive the wire, and nothing that comes over it breaks more than itself."""

from __future__ import annotations

import binascii
import json
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtstt_lab.errors import (
    AuthenticationError,
    ChecksumError,
    ChunkTooLargeError,
    LimitError,
    MalformedFrameError,
    RtsttError,
)
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.client import ClientSession
from rtstt_lab.protocol.server import ServerSession
from rtstt_lab.protocol.server_parts import token_hash

SEQ = st.integers(0, 2**31 - 1)
COUNT = st.integers(0, 2**53 - 1)
SHORT = st.text(max_size=40)
RECEIVED = st.builds(wire.Received, COUNT, COUNT, COUNT, COUNT)
HEADER = {
    "seq": SEQ,
    "stream": st.integers(0, 2**31 - 2),
    "bytes": COUNT,
    "crc32": st.integers(0, 2**32 - 1),
    "duration_ms": st.integers(0, 60_000),
    "captured_ms": COUNT,
    "sent_ms": COUNT,
    "mime": st.none() | SHORT,
    "lost": st.booleans(),
}
CLIENT = st.one_of(
    st.builds(
        wire.ClientHello,
        SHORT,
        COUNT,
        st.none() | st.tuples(SEQ, SEQ),
        SHORT,
        resuming=st.booleans(),
        attempt=COUNT,
    ),
    st.builds(wire.AudioText, data=st.binary(max_size=50), **HEADER),
    st.builds(
        wire.ClientControl,
        st.sampled_from(["start", "pause", "resume", "stop", "flush"]),
        st.integers(1, 2**31 - 1),
        SEQ,
    ),
    st.builds(wire.ClientAck, COUNT, st.none() | st.builds(wire.LatencyFigures, COUNT, COUNT, COUNT, COUNT)),
    st.builds(wire.ClientPing, COUNT),
)
SYNC = st.builds(
    wire.Sync, SHORT, SHORT, SEQ, SEQ, SEQ, COUNT, COUNT, RECEIVED, COUNT, next_stream=SEQ, audio_ms=COUNT
)
WORDS = st.lists(st.builds(wire.WireWord, SHORT, COUNT, COUNT, st.floats(0, 1)), max_size=4).map(tuple)
SERVER = st.one_of(
    st.builds(
        wire.SessionCreated, SHORT, SHORT, SHORT, st.none() | SHORT, st.builds(wire.Limits, COUNT), SYNC
    ),
    st.builds(
        wire.ServerAck,
        st.none() | SEQ,
        SEQ,
        st.lists(SEQ, max_size=64).map(tuple),
        SEQ,
        SEQ,
        COUNT,
        received=RECEIVED,
    ),
    st.builds(wire.TranscriptionPartial, COUNT, COUNT, SHORT, WORDS, COUNT, COUNT),
    st.builds(wire.TranscriptionFinal, COUNT, SHORT, WORDS, st.floats(0, 1), SHORT, COUNT, COUNT),
    st.builds(wire.Status, SHORT, SHORT, COUNT, st.booleans(), st.none() | SYNC),
    st.builds(wire.ServerError, SHORT, SHORT, st.dictionaries(SHORT, st.none() | SHORT | COUNT, max_size=3)),
    st.builds(wire.ServerPong, COUNT, COUNT),
)


def header(payload: bytes, **changes) -> wire.AudioHeader:
    fields = {"seq": 7, "stream": 0, "bytes": len(payload), "crc32": binascii.crc32(payload)}
    return wire.AudioHeader(**(fields | {"duration_ms": 250, "captured_ms": 0, "sent_ms": 0} | changes))


def refusal(decode, frame) -> RtsttError | None:
    try:
        decode(frame)
    except RtsttError as error:
        return error
    return None


@given(CLIENT)
@settings(deadline=None)
def test_client_messages_round_trip(message):
    """What a client writes, a server reads."""
    assert wire.decode_client_message(wire.encode(message)) == message


@given(SERVER)
@settings(deadline=None)
def test_server_messages_round_trip(message):
    """What a server writes, a client reads; unknown fields in between do no harm."""
    frame = wire.encode(message)
    assert wire.decode_server_message(frame) == message
    assert wire.decode_server_message(json.dumps(json.loads(frame) | {"new_field": [1]})) == message


@given(st.binary(max_size=300), st.fixed_dictionaries(HEADER))
@settings(deadline=None)
def test_audio_frames_round_trip(payload, fields):
    """Header and payload come out of a binary frame as they went in."""
    head = wire.AudioHeader(**(fields | {"bytes": len(payload), "crc32": binascii.crc32(payload)}))
    assert wire.decode_audio(wire.encode_audio(head, payload)) == (head, payload)


@pytest.mark.requirement("S1", "E4")
@pytest.mark.parametrize(
    ("changes", "payload", "error"),
    [
        ({"bytes": 4}, b"abc", MalformedFrameError),
        ({"crc32": 1}, b"abc", ChecksumError),
        ({"bytes": 1_000_001}, b"abc", ChunkTooLargeError),
        ({}, b"x" * 1_000_001, ChunkTooLargeError),
    ],
)
def test_a_payload_that_is_not_its_headers_is_named(changes, payload, error):
    """Length, checksum and size are checked, and the error tells which chunk it was."""
    with pytest.raises(error) as caught:
        wire.decode_audio(wire.encode_audio(header(payload, **changes), payload))
    assert caught.value.parameters["seq"] == 7


@pytest.mark.requirement("S1")
@pytest.mark.parametrize(
    "frame",
    [b"", b"\x01\x00", struct.pack("<I", 0), struct.pack("<I", 5000) + b"{}", struct.pack("<I", 2) + b"{}"],
)
def test_a_header_that_cannot_be_read(frame):
    """A frame without a whole header is malformed."""
    with pytest.raises(MalformedFrameError):
        wire.decode_audio(frame)


@pytest.mark.requirement("S1")
@pytest.mark.parametrize("number", ["3.0", "3e0", "-0.0", "3.5", '"3"', "true"])
def test_whole_numbers_are_digits_alone(number):
    """What has a fraction or an exponent is none, on either side, though its value may be whole."""
    for decode, sender in ((wire.decode_client_message, "client"), (wire.decode_server_message, "server")):
        assert decode(f'{{"type":"{sender}:ping","sent_ms":3}}').sent_ms == 3
        with pytest.raises(MalformedFrameError):
            decode(f'{{"type":"{sender}:ping","sent_ms":{number}}}')


@pytest.mark.requirement("S1")
@given(st.binary(max_size=200) | st.builds(lambda n: struct.pack("<I", n) + b"{" * n, st.integers(0, 5000)))
@example(wire.encode_audio(header(b""), b"")[:-1])
@settings(deadline=None)
def test_random_bytes_raise_only_house_errors(frame):
    """No binary frame leads to anything but an error of the house."""
    error = refusal(wire.decode_audio, frame)
    assert error is None or str(error)


@pytest.mark.requirement("S1")
@given(
    st.text(max_size=100)
    | CLIENT.map(wire.encode).flatmap(lambda f: st.integers(0, len(f)).map(lambda n: f[:n]))
)
@example("[" * 100_000)
@example('{"type":"client:unknown"}')
@example('{"type":"client:hello","token":"' + "x" * 600 + '"}')
@example('{"type":"client:hello","token":"\ud800"}')
@settings(deadline=None)
def test_random_text_raises_only_house_errors(frame):
    """No text frame leads to anything but an error of the house, on either side."""
    for decode in (wire.decode_client_message, wire.decode_server_message):
        error = refusal(decode, frame)
        assert error is None or (isinstance(error, MalformedFrameError) and str(error))


@pytest.mark.requirement("S1", "E4")
@given(st.lists(st.text(max_size=60) | st.binary(max_size=60) | CLIENT.map(wire.encode), max_size=12))
@settings(deadline=None, max_examples=60)
def test_no_frame_breaks_a_server(frames):
    """A server's session answers whatever comes, before and after the hello."""
    for greeted in (False, True):
        server = ServerSession("s", token_hash=token_hash("t"), new_token=lambda: "u")
        server.link_opened(0.0, 1)
        if greeted:
            server.receive_text(wire.encode(wire.ClientHello("t")), 0.0, 1)
        for frame in frames:
            receive = server.receive_text if isinstance(frame, str) else server.receive_bytes
            receive(frame, 0.0, 1)
        for _, frame in server.data_to_send(0.0):
            wire.decode_server_message(frame)
        received = server.received
        assert received.accepted + received.lost == server.next_seq


@given(st.lists(st.text(max_size=60) | SERVER.map(wire.encode), max_size=12))
@settings(deadline=None, max_examples=60)
def test_no_frame_breaks_a_client(frames):
    """A client's session reports whatever it cannot read, and stays whole."""
    client = ClientSession("s", "t")
    client.connect(0.0)
    client.link_opened(0.0)
    for frame in frames:
        client.receive_text(frame, 0.0)
        client.data_to_send(0.0)
    client.receive_bytes(b"x", 0.0)
    assert client.shown in type(client.shown)


def test_errors_become_messages():
    """The message of an error carries key, text, placeholders and the wait."""
    message = wire.server_error(LimitError("limit_links", retry_after_s=1.25, limit=8), fatal=True, seq=3)
    assert (message.code, message.retry_after_ms, message.fatal, message.seq) == (
        "limit_links",
        1250,
        True,
        3,
    )
    assert message.parameters["limit"] == 8
    assert "8" in message.message
    assert wire.server_error(AuthenticationError("authentication")).retry_after_ms is None

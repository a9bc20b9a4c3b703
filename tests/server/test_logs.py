"""What the log shows of an error: where it happened, and nothing that it says."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys

import pytest

from rtstt_lab.client.sources import AudioChunk
from rtstt_lab.client.streaming import StreamingClient
from rtstt_lab.errors import UsageError
from rtstt_lab.server.logs import PrivateFormatter, loop_failed

from .talk import TOKEN

SAID = "a secret sentence"


def logged(error):
    """The line and traceback that an error leaves."""
    record = logging.LogRecord(
        "n", logging.ERROR, "f", 1, "failed", (), (type(error), error, error.__traceback__)
    )
    return PrivateFormatter().format(record)


def fail_twice():
    try:
        raise ValueError(SAID)  # noqa: TRY301 - one error must lead to another
    except ValueError as error:
        raise KeyError(SAID) from error


@pytest.mark.requirement("S2")
def test_a_traceback_shows_lines_and_types_only():
    """Both errors of a chain are told by type and place, in order, without their messages."""
    with pytest.raises(KeyError) as caught:
        fail_twice()
    shown = logged(caught.value)
    assert SAID not in shown
    assert shown.index("ValueError") < shown.index("KeyError")
    assert "in fail_twice" in shown
    assert "test_logs.py" in shown


@pytest.mark.requirement("S2")
def test_our_own_and_the_systems_errors_are_named():
    """A key of the catalogue and an error number say what happened; paths and parameters stay out."""
    assert logged(UsageError("server_url", url=SAID)).endswith("UsageError: server_url")
    assert logged(FileNotFoundError(2, SAID, SAID)).endswith("FileNotFoundError: ENOENT")
    error = ValueError(SAID)
    error.__context__ = error
    assert logged(error).endswith("ValueError")


@pytest.mark.requirement("S2")
async def test_a_callback_that_fails_keeps_its_arguments_to_itself(caplog):
    """The event loop's own report names the arguments of what failed: ours does not."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_failed)

    def fail(_):
        raise ValueError(SAID)

    loop.call_soon(fail, SAID)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (record,) = caplog.records
    shown = PrivateFormatter().format(record)
    assert "Exception in callback" in shown
    assert "ValueError" in shown
    assert SAID not in shown


@pytest.mark.requirement("S2")
def test_threads_and_clean_ups_are_as_discreet(tmp_path):
    """What fails beside the event loop is told in the same way, and libraries are heard from warnings on."""
    script = f"""
import logging, threading
from rtstt_lab.server import logs
logs.configure("debug")
def fail():
    raise ValueError({SAID[:8]!r} + {SAID[8:]!r})
class Clean:
    def __del__(self):
        fail()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Clean()
logging.getLogger("websockets").info({SAID[:8]!r} + {SAID[8:]!r})
logging.getLogger("rtstt_lab.server").debug("heard")
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(
        command, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=True
    )
    assert SAID not in ended.stderr
    assert ended.stderr.count("ValueError") == 2
    assert "heard" in ended.stderr


@pytest.mark.requirement("S2", "S3")
async def test_a_client_is_discreet_too(server, speech, caplog):
    """With everything logged that there is to log, a client's log shows neither tokens nor words."""
    caplog.set_level(logging.DEBUG)

    async def source():
        for number, payload in enumerate(speech):
            yield AudioChunk(payload, 250, mime="audio/pcm;rate=16000" if number == 0 else None)

    client = StreamingClient(server.url, token=TOKEN, language="en")
    result = await client.run(source())
    assert "laboratory" in result.text
    logged = caplog.text
    assert logged
    for kept_out in (TOKEN, client.session._token, "laboratory"):
        assert kept_out not in logged

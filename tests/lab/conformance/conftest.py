"""One server on a thread for all, and the speech that it is sent."""

from __future__ import annotations

import pytest

from rtstt_lab.lab.conformance.audio import shipped_speech
from rtstt_lab.lab.conformance.run import chosen, examine
from rtstt_lab.lab.conformance.talk import Patience

from .house import HASTY, TOKEN, running

PATIENT = Patience()
IMPATIENT = Patience(answer_s=8.0, gap_s=8.0, silence_s=20.0, hello_s=8.0)
"""For servers that are broken on purpose: what they don't do is not waited for any longer, words excepted.

A machine that stands still for some seconds is no broken server.
"""


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """A server's address."""
    with running(tmp_path_factory.mktemp("output")) as url:
        yield url


@pytest.fixture(scope="session")
def speech():
    """The shipped English sample."""
    return shipped_speech()


@pytest.fixture
def hasty(monkeypatch):
    """Sessions that are made now wait for two seconds where others wait for five or ten."""
    monkeypatch.setattr("rtstt_lab.protocol.server_voice.ServerSettings", HASTY)


@pytest.fixture
def examined(house, speech, hasty):
    """Examines a server by some rules; gives what came of each check."""

    async def run(*rules, url=house, patience=PATIENT, minutes=False):
        examination = await examine(
            url,
            token=TOKEN,
            speech=speech,
            checks=chosen(rules),
            patience=patience,
            sessions=6,
            minutes=minutes,
        )
        return {outcome.check.id: outcome for outcome in examination.outcomes}

    return run

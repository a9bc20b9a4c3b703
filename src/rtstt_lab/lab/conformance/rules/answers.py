"""Before all else: whether what listens there answers at all. Where it does not, nothing else is asked."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance.checks import check
from rtstt_lab.lab.conformance.subject import SESSIONS, Subject, expect_status, unmet_answer
from rtstt_lab.protocol import messages as wire


@check("REST.answers", when="first")
async def rest(subject: Subject) -> None:
    """HTTP is spoken there, and sessions are known."""
    within_s = subject.patience.answer_s
    answer = await subject.request("GET", SESSIONS, token=subject.token, timeout_s=within_s)
    expect_status(answer, f"GET {SESSIONS}", 200)
    if not isinstance(answer.json(), dict):
        raise unmet_answer("{sessions: […]}", answer)


@check("F.answers", when="first")
async def frames(subject: Subject) -> None:
    """A session can be made, its socket opens, and a hello is greeted in this protocol."""
    async with subject.session() as session:
        talk, created = await session.connect()
        talk.expect(created, protocol=wire.PROTOCOL)


REST: Final = rest
FRAMES: Final = frames

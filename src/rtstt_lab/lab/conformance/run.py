"""Runs the checks: those that are independent at the same time, within the sessions that a server takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rtstt_lab.client.probe import HandshakeRefused, Probe
from rtstt_lab.errors import AuthenticationError, RtsttError, UsageError
from rtstt_lab.lab.conformance.checks import Check, NotJudged, Outcome, Phrase, Unmet, Verdict, phrase
from rtstt_lab.lab.conformance.rules import CHECKS
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.lab.conformance.talk import Patience

SESSIONS: Final = 6
"""Open at once: two fewer than a server takes by default."""
_LONGEST_S: Final = 240.0

Progress: TypeAlias = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of all checks, in the order of the rules.

    Attributes:
        url: of the server, without what was secret in it.
        started_at: UTC.
        seconds: that it took.
        outcomes: of the checks.
    """

    url: str
    started_at: datetime
    seconds: float
    outcomes: tuple[Outcome, ...]

    def count(self, verdict: Verdict) -> int:
        """How many checks ended so."""
        return sum(outcome.verdict == verdict for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """No check has failed, and one has passed."""
        return not self.count("failed") and self.count("passed") > 0


def chosen(rules: Iterable[str], checks: Iterable[Check] = CHECKS) -> tuple[Check, ...]:
    """The checks of these rules: ``7``, ``R7``, ``REST`` or ``F``, or one check's id; all, if none is named.

    Raises:
        UsageError: there is no such rule.
    """
    checks = tuple(checks)
    names = [f"R{name}" if name.isdecimal() else name for name in (rule.strip() for rule in rules)]
    known = {name.lower() for check in checks for name in (check.rule, check.id)}
    for name in names:
        if name.lower() not in known:
            rules_known = " ".join(dict.fromkeys(check.rule for check in checks))
            raise UsageError("conformance_rule", rule=name[:40], known=rules_known)
    wanted = {name.lower() for name in names}
    return tuple(c for c in checks if not wanted or {c.rule.lower(), c.id.lower()} & wanted)


async def examine(
    url: str,
    *,
    token: str | None,
    speech: bytes,
    checks: Iterable[Check] = CHECKS,
    patience: Patience | None = None,
    sessions: int = SESSIONS,
    minutes: bool = False,
    progress: Progress | None = None,
) -> Examination:
    """Puts the checks to a server.

    Args:
        url: of the server, with the prefix and query that a proxy asks for.
        token: of its API; ``None`` where it asks for none.
        speech: English, signed 16-bit PCM at 16 kHz, mono, 20 s or more; the first word begins at 0.3 s.
        checks: to be made.
        patience: see there.
        sessions: open at once, at most; 2 or more.
        minutes: also those that wait for minutes.
        progress: told each outcome as it comes.

    Raises:
        ConnectionFailedError: nobody answers there.
        AuthenticationError: the token is not the server's.
        UsageError: the address is none of HTTP.
    """
    checks = tuple(checks)
    async with Probe(url) as probe:
        subject = Subject(probe, token, speech, patience or Patience())
        begun_s, started_at = probe.clock(), datetime.now(UTC)
        await _knock(subject)
        room = _Room(max(2, sessions))
        outcomes: dict[str, Outcome] = {}

        async def run(check: Check) -> None:
            async with room.of(check.sessions):
                outcomes[check.id] = outcome = await _outcome(check, subject, minutes=minutes)
            if progress is not None:
                progress(outcome)

        await asyncio.gather(*(run(check) for check in checks if check.when == "with others"))
        for when in ("alone", "afterwards"):
            for check in checks:
                if check.when == when:
                    await run(check)
        return Examination(
            probe.url, started_at, probe.clock() - begun_s, tuple(outcomes[check.id] for check in checks)
        )


async def _knock(subject: Subject) -> None:
    """Whether somebody answers, and knows the token, before dozens of checks say that in their own ways."""
    answer = await subject.probe.request("GET", "/api/streaming/sessions", token=subject.token)
    if answer.status == 401 and subject.token:
        raise AuthenticationError("authentication")
    if answer.status == 401:
        raise AuthenticationError("conformance_token")


async def _outcome(check: Check, subject: Subject, *, minutes: bool) -> Outcome:
    begun_s = subject.probe.clock()
    if check.minutes and not minutes:
        return Outcome(check, "skipped", 0.0, got=phrase("minutes"))
    verdict, expected, got = await _judged(check, subject)
    return Outcome(check, verdict, subject.probe.clock() - begun_s, expected, got)


async def _judged(check: Check, subject: Subject) -> tuple[Verdict, str, Phrase | None]:
    limit_s = _LONGEST_S * (2 if check.minutes else 1)
    outcome: tuple[Verdict, str, Phrase | None] = "passed", "", None
    try:
        async with asyncio.timeout(limit_s):
            await check.procedure(subject)
    except Unmet as unmet:
        outcome = "failed", unmet.expected, unmet.got
    except NotJudged as reason:
        outcome = "skipped", "", reason.reason
    except HandshakeRefused as refused:
        outcome = "failed", "HTTP 101", phrase("got_status", status=refused.status or "–", body="")
    except TimeoutError:
        outcome = "failed", "–", phrase("got_nothing", seconds=limit_s, last="–")
    except (RtsttError, LookupError, TypeError, ValueError, AttributeError) as error:
        # What a foreign server answers may have any shape.
        outcome = "failed", "–", phrase("got", text=f"{type(error).__name__}: {error}")
    return outcome


class _Room:
    """Sessions that may be open; whoever needs two gets both at once, so that nobody waits half-served."""

    def __init__(self, sessions: int) -> None:
        self._free = asyncio.Semaphore(sessions)
        self._door = asyncio.Lock()

    @asynccontextmanager
    async def of(self, sessions: int) -> AsyncIterator[None]:
        async with self._door:
            for _ in range(sessions):
                await self._free.acquire()
        try:
            yield
        finally:
            for _ in range(sessions):
                self._free.release()

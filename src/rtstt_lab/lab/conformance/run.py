"""Runs the checks: those that are independent at the same time, within the sessions that a server takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import httpx

from rtstt_lab.client.probe import HandshakeRefused, Probe
from rtstt_lab.errors import AuthenticationError, ConnectionFailedError, RtsttError, UsageError
from rtstt_lab.lab.conformance.checks import Check, NotJudged, Outcome, Phrase, Unmet, Verdict, phrase
from rtstt_lab.lab.conformance.rules import CHECKS, answers
from rtstt_lab.lab.conformance.subject import SESSIONS as SESSIONS_PATH
from rtstt_lab.lab.conformance.subject import Subject
from rtstt_lab.lab.conformance.talk import Patience

SESSIONS: Final = 6
"""Open at once: two fewer than a server takes by default."""
_LONGEST_S: Final = 240.0
"""For one check, twice as long for one that waits for minutes."""
_WHOLE_S: Final = 1_200.0
"""Checks that have not begun by then are not made: a server may answer each time at the last moment."""
_FIRST: Final = (answers.REST, answers.FRAMES)

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
    cafile: Path | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Puts the checks to a server; it ends, whatever the server does.

    Args:
        url: of the server, with the prefix and query that a proxy asks for.
        token: of its API; ``None`` where it asks for none.
        speech: the shipped sample (`audio.shipped_speech`), signed 16-bit PCM at 16 kHz, mono.
        checks: to be made.
        patience: see there.
        sessions: open at once, at most; 2 or more.
        minutes: also those that wait for minutes.
        cafile: authorities that may vouch for it (`tls_context`).
        progress: told each outcome as it comes.

    Raises:
        ConnectionFailedError: nobody is there, or nobody who is believed.
        AuthenticationError: the token is not the server's.
        UsageError: the address is none of HTTP, or the file can't be used.
    """
    checks = tuple(checks)
    async with Probe(url, cafile=cafile) as probe:
        subject = Subject(probe, token, speech, patience or Patience())
        begun_s, started_at = probe.clock(), datetime.now(UTC)
        await _knock(subject)
        room = _Room(max(2, sessions))
        outcomes: dict[str, Outcome] = {}

        async def run(check: Check) -> None:
            async with room.of(check.sessions):
                if (reason := _needless(check, outcomes, minutes, probe.clock() - begun_s)) is not None:
                    outcome = Outcome(check, "skipped", 0.0, got=reason)
                else:
                    outcome = await _outcome(check, subject)
                outcomes[check.id] = outcome
            if progress is not None and check in checks:
                progress(outcome)

        for check in _FIRST:
            if check in checks or any(_needs(other, check) for other in checks):
                await run(check)
        await asyncio.gather(*(run(check) for check in checks if check.when == "with others"))
        for when in ("alone", "afterwards"):
            for check in checks:
                if check.when == when:
                    await run(check)
        shown = [*(first for first in _FIRST if first not in checks and _is_shut(first, outcomes)), *checks]
        return Examination(
            probe.url, started_at, probe.clock() - begun_s, tuple(outcomes[check.id] for check in shown)
        )


async def _knock(subject: Subject) -> None:
    """Whether somebody is there, and knows the token, before dozens of checks say that in their own ways."""
    within_s = subject.patience.answer_s
    try:
        answer = await subject.probe.request("GET", SESSIONS_PATH, token=subject.token, timeout_s=within_s)
    except ConnectionFailedError as error:
        if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
            raise
        return  # somebody is; what they do is for `answers.REST` to judge
    if answer.status == 401 and subject.token:
        raise AuthenticationError("authentication")
    if answer.status == 401:
        raise AuthenticationError("conformance_token")


def _needs(check: Check, first: Check) -> bool:
    """Whether a check can't be made where the first one has failed."""
    return (
        check is not first and check is not answers.REST and (first is answers.REST or check.rule != "REST")
    )


def _is_shut(first: Check, outcomes: Mapping[str, Outcome]) -> bool:
    return first.id in outcomes and outcomes[first.id].verdict == "failed"


def _needless(check: Check, outcomes: Mapping[str, Outcome], minutes: bool, passed_s: float) -> Phrase | None:
    """Why a check is not made; ``None`` if it is."""
    for first in _FIRST:
        if _needs(check, first) and _is_shut(first, outcomes):
            return phrase("behind", check=first.id)
    if passed_s > _WHOLE_S:
        return phrase("no_time", minutes=_WHOLE_S / 60)
    return phrase("minutes") if check.minutes and not minutes else None


async def _outcome(check: Check, subject: Subject) -> Outcome:
    begun_s = subject.probe.clock()
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
    except (RtsttError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
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

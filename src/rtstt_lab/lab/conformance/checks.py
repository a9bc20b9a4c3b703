"""What a check is, and what can come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from rtstt_lab.errors import RtsttError
from rtstt_lab.texts import text

if TYPE_CHECKING:
    from rtstt_lab.lab.conformance.subject import Subject

Procedure: TypeAlias = Callable[["Subject"], Awaitable[None]]
Verdict: TypeAlias = Literal["passed", "failed", "skipped"]
When: TypeAlias = Literal["first", "with others", "alone", "afterwards"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text of the catalogue ``conformance.json`` and its placeholders (also errors), in either language."""

    key: str
    parameters: tuple[tuple[str, object], ...] = ()

    def say(self, language: str) -> str:
        """The text, in ``en`` or ``es``."""
        said = {
            name: value.localized(language) if isinstance(value, RtsttError) else value
            for name, value in self.parameters
        }
        return text(f"conformance.{self.key}", language, **said)


def phrase(key: str, /, **parameters: object) -> Phrase:
    """A `Phrase`."""
    return Phrase(key, tuple(parameters.items()))


class Unmet(Exception):  # noqa: N818 - a verdict on the server, not an error of ours
    """What the rule asks for did not happen.

    Args:
        expected: in the protocol's own words, e.g. ``server:ack next_seq=2``.
        got: what came instead.
    """

    def __init__(self, expected: str, got: Phrase) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got


class NotJudged(Exception):  # noqa: N818 - a verdict, too
    """The rule cannot be put to the test here.

    Args:
        reason: why not.
    """

    def __init__(self, reason: Phrase) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        id: the rule, a dot, the check's name.
        procedure: raises `Unmet` or `NotJudged`, or is content.
        when: before all others, which are not made if it fails; together with others; alone, since it fills
            the server; or after all others.
        minutes: it waits for minutes, and is run only if asked for.
        sessions: that it holds at once.
    """

    id: str
    procedure: Procedure
    when: When = "with others"
    minutes: bool = False
    sessions: int = 1

    @property
    def rule(self) -> str:
        """``R1`` to ``R12``, ``REST`` or ``F`` (frames)."""
        return self.id.partition(".")[0]

    def text(self, language: str) -> str:
        """What the rule says, in one line."""
        return text(f"conformance.{self.id}", language)


def check(
    check_id: str, *, when: When = "with others", minutes: bool = False, sessions: int = 1
) -> Callable[[Procedure], Check]:
    """Makes a function a `Check`."""

    def made(procedure: Procedure) -> Check:
        return Check(check_id, procedure, when, minutes, sessions)

    return made


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check.

    Attributes:
        check: which one.
        verdict: of it.
        seconds: that it took.
        expected: where it failed, in the protocol's own words.
        got: what came instead, or why it was skipped.
    """

    check: Check
    verdict: Verdict
    seconds: float
    expected: str = ""
    got: Phrase | None = None

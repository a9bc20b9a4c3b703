"""A log of what was decoded, told again under another policy: seconds instead of hours, and no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from rtstt_lab.recognition.policy import Policy
from rtstt_lab.recognition.promises import Decoded, Promises, Result
from rtstt_lab.recognition.settings import RecognizerSettings
from rtstt_lab.types import Hypothesis, Word


def rescore(
    log: Iterable[Decoded], policy: Policy, settings: RecognizerSettings | None = None
) -> Iterator[tuple[float, Result]]:
    """What the recognizer would have said under this policy.

    Under the policy and the settings that the log was made with this is exactly what it said, unless the
    machine was too slow for them and they were eased meanwhile. Under others it is near: windows, prompts and
    moments of the decodes stay as logged, though another policy would have cut its windows elsewhere and
    given the model other text. Words that a logged window left behind, and that this policy had not promised
    yet, are promised before the first hypothesis that cannot hear them.

    Args:
        log: of one session, in order, from its beginning.
        policy: when words are promised and shown.
        settings: where segments end; their own policy doesn't count.

    Yields:
        The newest audio that had come in when it could be said, computing time apart, and what is said.
    """
    promises = Promises(replace(settings or RecognizerSettings(), policy=policy))
    for decoded in log:
        results: list[Result] = []
        if decoded.hypothesis is not None:
            start_s = decoded.hypothesis.start_s
            results += promises.promise(sum(_left_behind(word, start_s) for word in promises.waiting))
        results += promises.hear(decoded)
        yield from ((decoded.heard_s, result) for result in results)


def _left_behind(word: Word, start_s: float) -> bool:
    return (word.start_s + word.end_s) / 2 < start_s


def row_of(decoded: Decoded) -> dict[str, Any]:
    """As a row of JSON: a word is ``[text, start_s, end_s, probability]``."""
    row = asdict(decoded)
    if decoded.hypothesis is not None:
        words = decoded.hypothesis.words
        row["hypothesis"]["words"] = [(w.text, w.start_s, w.end_s, w.probability) for w in words]
    return row


def decoded_of(row: Mapping[str, Any]) -> Decoded:
    """The inverse of `row_of`.

    Raises:
        TypeError: keys that are missing or unknown.
    """
    hypothesis = row.get("hypothesis")
    if hypothesis is not None:
        words = tuple(Word(*word) for word in hypothesis["words"])
        hypothesis = Hypothesis(**{**hypothesis, "words": words})
    return Decoded(**{**row, "hypothesis": hypothesis})

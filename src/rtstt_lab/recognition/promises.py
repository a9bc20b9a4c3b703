"""From hypotheses to partials and finals: no decoder, no audio, no clock.

The recognizer drives it with what it decodes; `rescoring` drives it with what was decoded before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final as Constant
from typing import Literal, TypeAlias

from rtstt_lab.recognition.continuation import following, sentence_end
from rtstt_lab.recognition.settings import RecognizerSettings, RecognizerStart
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Hypothesis, Partial, Word

Result: TypeAlias = Partial | Final

DecodeKind: TypeAlias = Literal["running", "quiet", "closing"]
"""While somebody speaks; when it gets quiet and may be the end; when it is."""

_REMEMBERED_S: Constant = 60.0  # twice the longest window: what any window can reach back to
_REMEMBERED_CHARS: Constant = 2000
_SAME_S: Constant = 0.02  # a window cut between two words may clip the later one by so much
_OPINIONS: Constant = 8  # more than any policy asks for, at the shortest interval


@dataclass(frozen=True, slots=True)
class _Tail:
    """What a hypothesis says after the promised words, and the newest audio that it heard."""

    end_s: float
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became known at one step of the recognizer.

    Attributes:
        heard_s: the newest audio that had come in.
        kind: of the decode.
        language_settled: before it is, nothing is promised while somebody speaks.
        hypothesis: what the window says; ``None``, when closing: what the one before said holds.
        speech_from_s: where the utterance began. Alignment draws words into the pause before it.
    """

    heard_s: float
    kind: DecodeKind
    language_settled: bool
    hypothesis: Hypothesis | None
    speech_from_s: float = 0.0


class Promises:
    """The words of one session: promised, shown, final. What is promised never changes.

    Args:
        settings: the policy, and where segments end.
        start: what was promised before.
    """

    def __init__(self, settings: RecognizerSettings, start: RecognizerStart | None = None) -> None:
        start = start or RecognizerStart()
        self._settings = settings
        self._segment = start.first_segment
        self._revision = 0
        self._before = "".join(word.text for word in start.words)[-_REMEMBERED_CHARS:]
        self._shown: tuple[Word, ...] = ()
        self._open: list[Word] = []
        self._recent = list(start.words)
        self._tails: deque[_Tail] = deque(maxlen=_OPINIONS)
        self._newest: Hypothesis | None = None
        self._speech_from_s = 0.0

    @property
    def waiting(self) -> tuple[Word, ...]:
        """What the newest hypothesis says after the promised words."""
        return self._tails[-1].words if self._tails else ()

    def since(self, start_s: float) -> list[Word]:
        """The promised words of the last minute that lie in a window which begins there."""
        return [word for word in self._recent if word.start_s >= start_s - _SAME_S]

    def text_since(self, start_s: float, reread_words: int | None) -> str:
        """The promised text that a window begins with, for a decode to go on from.

        From a word that was misheard, or is only half of one, the model would not find its way: the newest
        are left to be decoded again.

        Args:
            start_s: where the window begins.
            reread_words: so many; ``None``: all of them.
        """
        promised = self.since(start_s)
        count = 0 if reread_words is None else max(0, len(promised) - reread_words)
        return "".join(word.text for word in promised[:count])

    def text_before(self, start_s: float) -> str:
        """The promised text that ends where a window begins."""
        text = self._before + "".join(word.text for word in self._open)
        return text.removesuffix("".join(word.text for word in self.since(start_s)))

    def adapt(self, settings: RecognizerSettings) -> None:
        """From now on another trade holds; what was promised stays so."""
        self._settings = settings

    def hear(self, decoded: Decoded) -> list[Result]:
        """Takes in what a step made known.

        Returns:
            What there is to say of it, in order.
        """
        self._speech_from_s = decoded.speech_from_s
        if decoded.kind == "closing":
            return self._close(decoded.hypothesis)
        if decoded.hypothesis is None:
            return []
        return self._advance(
            decoded.hypothesis, quiet=decoded.kind == "quiet", settled=decoded.language_settled
        )

    def promise(self, count: int) -> list[Result]:
        """Promises so many of the words that wait, whatever the policy says."""
        if not count or self._newest is None:
            return []
        shown = self._settings.policy.presentable(self._opinions(quiet=False), self._newest.end_s)
        return self._promise(count, shown, self._newest)

    def _advance(self, hypothesis: Hypothesis, *, quiet: bool, settled: bool) -> list[Result]:
        self._tails.append(_Tail(hypothesis.end_s, self._following(hypothesis)))
        self._newest = hypothesis
        policy, tails = self._settings.policy, self._opinions(quiet=quiet)
        # Words that silence follows are not cut by the window's edge: only the unsure ones wait.
        edge_s = hypothesis.end_s + (policy.hold_s if quiet else 0.0)
        enough = quiet or hypothesis.end_s - hypothesis.start_s >= self._settings.first_commit_s
        count = policy.committable(tails, edge_s) if settled and enough else 0
        count = max(count, self._overdue(hypothesis))
        return self._promise(count, policy.presentable(tails, edge_s), hypothesis)

    def _opinions(self, *, quiet: bool) -> tuple[tuple[Word, ...], ...]:
        """The newest tail, and those before it that heard clearly less; oldest first.

        The decode of a quiet moment hears no more words than the one before, and is another one all the same.
        """
        apart_s = self._settings.opinion_s - 1 / SAMPLE_RATE_HZ
        chosen: list[_Tail] = []
        for tail in reversed(self._tails):
            another = quiet and len(chosen) == 1
            if not chosen or another or tail.end_s <= chosen[-1].end_s - apart_s:
                chosen.append(tail)
        return tuple(tail.words for tail in reversed(chosen))

    def _overdue(self, hypothesis: Hypothesis) -> int:
        """How many words must be promised, agreed or not, because the window would grow without bound."""
        if hypothesis.end_s - hypothesis.start_s < self._settings.max_window_s + self._settings.keep_s:
            return 0
        limit_s = hypothesis.end_s - self._settings.keep_s
        return sum((word.start_s + word.end_s) / 2 <= limit_s for word in self.waiting)

    def _promise(self, count: int, shown: int, hypothesis: Hypothesis) -> list[Result]:
        tail = self.waiting
        self._commit(tail[:count])
        self._tails = deque((_Tail(t.end_s, t.words[count:]) for t in self._tails), self._tails.maxlen)
        return self._close_sentences(hypothesis) + self._show(tail[count:shown], hypothesis.end_s)

    def _close(self, hypothesis: Hypothesis | None) -> list[Result]:
        newest = hypothesis or self._newest
        if newest is None:
            return []
        self._commit(self._following(newest) if hypothesis else self.waiting)
        results: list[Result] = []
        if self._open:
            results = [self._final(len(self._open), newest)]
        elif self._shown:
            results = self._show((), newest.end_s)
        self._tails.clear()
        self._newest = None
        return results

    def _following(self, hypothesis: Hypothesis) -> tuple[Word, ...]:
        return following(self.since(hypothesis.start_s), hypothesis, self._speech_from_s)

    def _commit(self, words: Sequence[Word]) -> None:
        self._open += words
        self._recent += words
        if words:
            self._recent = [w for w in self._recent if w.start_s >= words[-1].start_s - _REMEMBERED_S]

    def _close_sentences(self, hypothesis: Hypothesis) -> list[Result]:
        if not self._open:
            return []
        count = sentence_end(self._open)
        if not count and self._open[-1].end_s - self._open[0].start_s > self._settings.max_segment_s:
            count = len(self._open)
        return [self._final(count, hypothesis)] if count else []

    def _final(self, count: int, hypothesis: Hypothesis) -> Final:
        words = tuple(self._open[:count])
        del self._open[:count]
        final = Final(self._segment, words, hypothesis.end_s, hypothesis.language)
        self._segment += 1
        self._revision, self._shown = 0, ()
        self._before = (self._before + "".join(word.text for word in words))[-_REMEMBERED_CHARS:]
        return final

    def _show(self, tail: tuple[Word, ...], end_s: float) -> list[Result]:
        words = (*self._open, *tail)
        if not words and not self._shown:
            return []
        partial = Partial(self._segment, self._revision, words, len(self._open), end_s)
        self._revision += 1
        self._shown = words
        return [partial]

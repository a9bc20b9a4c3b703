"""Which words of a hypothesis may be promised: pure functions of the hypotheses so far.

LocalAgreement-n and hold-n: Liu et al. 2020, "Low-Latency Sequence-to-Sequence Speech Recognition and
Translation by Partial Hypothesis Selection". Waiting for words near the edge of the window is AlignAtt's
idea (Papi et al. 2023), applied after the decode to the aligned times of the words.

All of them take *tails*: the words after the promised ones, of each hypothesis that counts as an opinion of
its own, oldest first; and the *edge*: the newest audio that the newest hypothesis heard, ``inf`` when nothing
more can change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Final as Constant
from typing import Protocol, TypeVar

from rtstt_lab.emissions import word_key
from rtstt_lab.types import Word

_Item = TypeVar("_Item")


class Policy(Protocol):
    """When a word is promised, and when it is worth showing; without state, so a log can be scored again."""

    @property
    def agreeing(self) -> int:
        """So many of the newest tails are looked at."""
        ...

    @property
    def hold_s(self) -> float:
        """A sure word that ends nearer to the edge waits; silence of this length behind it is as good."""
        ...

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """How many leading words of the newest tail can be promised."""
        ...

    def presentable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """How many leading words of the newest tail are worth showing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """When a word is shown, whatever promises it. What two hypotheses agree on is; new words may flicker.

    Attributes:
        shown_probability: a word that the opinion before had not is shown from this probability on,
        edge_probability: or from this one, if it ends nearer to the edge, which may have cut it,
        edge_s: than this.
    """

    shown_probability: float = 0.5
    edge_probability: float = 0.85
    edge_s: float = 0.2

    def presentable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """How many leading words of the newest tail are worth showing."""
        if not tails:
            return 0
        count = common_prefix(tails[-2:]) if len(tails) > 1 else 0
        whole_s = edge_s - self.edge_s
        return count + _leading(
            tails[-1][count:],
            lambda w: (
                w.probability >= (self.shown_probability if w.end_s <= whole_s else self.edge_probability)
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAgreement(Showing):
    """LocalAgreement-n: what the newest hypotheses have in common.

    Attributes:
        agreeing: how many of them.
    """

    agreeing: int = 2

    @property
    def hold_s(self) -> float:
        """Nothing waits for the edge alone."""
        return 0.0

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """See `Policy`."""
        return len(tails[-1]) if tails and math.isinf(edge_s) else agreed(tails, self.agreeing)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldN(Showing):
    """Hold-n: all but the last words.

    Attributes:
        held: how many wait.
    """

    held: int = 3

    @property
    def agreeing(self) -> int:
        """The newest hypothesis is enough."""
        return 1

    @property
    def hold_s(self) -> float:
        """What waits is counted in words."""
        return 0.0

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """See `Policy`."""
        if not tails:
            return 0
        return len(tails[-1]) if math.isinf(edge_s) else max(0, len(tails[-1]) - self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignAtt(Showing):
    """AlignAtt, applied afterwards: words that end near the edge wait; no second hypothesis is asked.

    Attributes:
        hold_s: how near.
    """

    hold_s: float = 0.8

    @property
    def agreeing(self) -> int:
        """The newest hypothesis is enough."""
        return 1

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """See `Policy`."""
        return _leading(tails[-1], lambda w: w.end_s <= edge_s - self.hold_s) if tails else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceGated(Showing):
    """As AlignAtt, where unsure words wait longer.

    Attributes:
        hold_s: a word ends at least so long before the edge;
        unsure_hold_s: this long, if its probability is under
        sure_probability: this.
    """

    hold_s: float = 0.3
    unsure_hold_s: float = 0.8
    sure_probability: float = 0.5

    @property
    def agreeing(self) -> int:
        """The newest hypothesis is enough."""
        return 1

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """See `Policy`."""
        return _leading(tails[-1], lambda w: w.end_s <= edge_s - self.holds_s(w)) if tails else 0

    def holds_s(self, word: Word) -> float:
        """How long before the edge this word has to end."""
        return self.hold_s if word.probability >= self.sure_probability else self.unsure_hold_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPolicy(ConfidenceGated):
    """What the recognizer uses: agreement and both holds, and patience with what keeps being disputed.

    Attributes:
        agreeing: as many of the newest hypotheses have to say a word (LocalAgreement-n), and it must have
            left `hold_s` or `unsure_hold_s` behind it;
        patience_s: or it ends so long before the edge: more audio will not settle it, agreed or not. One
            hypothesis alone is not enough, though: when much audio comes at once, the first may be mistaken.
    """

    agreeing: int = 2
    patience_s: float = 2.0

    def committable(self, tails: Sequence[Sequence[Word]], edge_s: float) -> int:
        """See `Policy`."""
        if not tails:
            return 0
        disputed = len(tails) >= self.agreeing or math.isinf(edge_s)
        old = _leading(tails[-1], lambda w: disputed and w.end_s <= edge_s - self.patience_s)
        shared = tails[-1][old : agreed(tails, self.agreeing)]
        return old + _leading(shared, lambda w: w.end_s <= edge_s - self.holds_s(w))


POLICIES: Constant[Mapping[str, Policy]] = MappingProxyType(
    {
        "combined": CommitPolicy(),
        "local-agreement-2": LocalAgreement(agreeing=2),
        "local-agreement-3": LocalAgreement(agreeing=3),
        "hold-3": HoldN(held=3),
        "hold-6": HoldN(held=6),
        "align-att": AlignAtt(),
        "confidence": ConfidenceGated(),
    }
)
"""Those that benchmarks compare, by name."""


def agreed(tails: Sequence[Sequence[Word]], agreeing: int) -> int:
    """How many leading words the newest hypotheses share; 0 while there are fewer of them."""
    return common_prefix(tails[-agreeing:]) if len(tails) >= agreeing else 0


def common_prefix(tails: Sequence[Sequence[Word]]) -> int:
    """How many leading words all of these have in common, case and punctuation apart."""
    return _leading(
        list(zip(*tails, strict=False)), lambda words: len({word_key(word.text) for word in words}) == 1
    )


def _leading(items: Sequence[_Item], holds: Callable[[_Item], bool]) -> int:
    return sum(1 for _ in takewhile(holds, items))

"""What decodes may cost, by how long they take on this machine as it is at the moment.

The one place that knows how computing time relates to audio time. Nothing here drops audio: a decode that
comes later hears more at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final as Constant

from rtstt_lab.recognition.policy import CommitPolicy
from rtstt_lab.recognition.settings import RecognizerSettings

_DECODE_WORK: Constant = 0.06
_SECOND_WORK: Constant = 0.015
_TOKEN_WORK: Constant = 0.013
_BEAM_WORK: Constant = 0.05  # each beam more, as a share of the whole: five take 12-13 ms a token, one 10
_TOKENS_PER_S: Constant = 3.5
_UNPROMISED_S: Constant = 3.0  # so much of a window is decoded although it was decoded before
_MEMORY: Constant = 0.8
_PRIOR_WORK: Constant = 0.15  # a fresh session takes the machine for one that bears it
_OVERLOAD: Constant = 1.6  # above 1, since only an utterance without any pause costs that much
_RELIEF: Constant = 1.1
_SPARE: Constant = 1.2
_LONGEST_EASED_S: Constant = 5.0
_SHORTEST_WINDOW_S: Constant = 3.7
_WINDOW_AT_LOAD_1_S: Constant = 17.0
# Two decodes that are seconds apart agree too late to be worth the wait: what the newest one says is enough,
# and words wait until they are further from its edge.
_ONE_VOTE: Constant = CommitPolicy(agreeing=1, hold_s=0.7, unsure_hold_s=1.2)


class Pace:
    """Which settings are in force: those that are wanted, or cheaper ones while the machine is too slow.

    Each decode tells how long a unit of work takes at the moment. The work that the *wanted* settings would
    be decides, not that of the ones in force: so taking it easy doesn't look like relief, and there is no to
    and fro.

    Args:
        wanted: the trade on a machine that bears it.
    """

    def __init__(self, wanted: RecognizerSettings) -> None:
        self._wanted = self._settings = wanted
        self._took_s = self._work = _PRIOR_WORK

    @property
    def settings(self) -> RecognizerSettings:
        """Those in force."""
        return self._settings

    @property
    def slowed(self) -> bool:
        """Whether they are cheaper than what is wanted."""
        return self._settings is not self._wanted

    @property
    def load(self) -> float:
        """Seconds that decoding a second of speech would take with the wanted settings."""
        wanted = self._wanted
        window_s = (wanted.keep_s + wanted.max_window_s) / 2
        interval_s = wanted.wait_s(window_s)
        decoded_s = min(window_s, interval_s + _UNPROMISED_S) if wanted.reread_words is not None else window_s
        return self._expected_s(window_s, decoded_s, wanted.beam_size) / interval_s

    def decoded(self, took_s: float, window_s: float, tokens: int, beam_size: int) -> None:
        """A decode has ended.

        Args:
            took_s: from when it was due, on the clock by which audio comes in.
            window_s: length of its audio.
            tokens: that came out of it, all attempts together.
            beam_size: of its search.
        """
        self._took_s = _MEMORY * self._took_s + took_s
        self._work = _MEMORY * self._work + work(window_s, tokens, beam_size)
        bound = _RELIEF if self.slowed else _OVERLOAD
        self._settings = self._eased() if self.load > bound else self._wanted

    def _eased(self) -> RecognizerSettings:
        eased = easier(self._wanted, self.load)
        # At such intervals little of a window is promised when it is decoded.
        expected_s = self._expected_s(eased.max_window_s, eased.max_window_s, eased.beam_size)
        least_s = min(_SPARE * expected_s, _LONGEST_EASED_S)
        return replace(eased, interval_s=max(eased.interval_s, least_s))

    def _expected_s(self, window_s: float, decoded_s: float, beam_size: int) -> float:
        return self._took_s / self._work * work(window_s, _TOKENS_PER_S * decoded_s, beam_size)


def work(window_s: float, tokens: float, beam_size: int) -> float:
    """What a decode costs: roughly seconds of ``base`` on one core; only how the parts compare matters.

    Args:
        window_s: length of its audio.
        tokens: that come out of it.
        beam_size: of its search.
    """
    greedy = _DECODE_WORK + _SECOND_WORK * window_s + _TOKEN_WORK * tokens
    return greedy * (1 + _BEAM_WORK * (beam_size - 1))


def easier(wanted: RecognizerSettings, load: float) -> RecognizerSettings:
    """The same trade on a machine that is too slow for it.

    Windows are the shorter the higher the load. Every decode is greedy and done once, an utterance's last
    one too, without older text to read; utterances that wait are decoded together.

    Args:
        wanted: on a machine that bears it.
        load: see `Pace.load`.
    """
    max_window_s = min(wanted.max_window_s, max(_WINDOW_AT_LOAD_1_S / load, _SHORTEST_WINDOW_S))
    keep_s = wanted.keep_s * max_window_s / wanted.max_window_s
    return replace(
        wanted,
        max_window_s=max_window_s,
        keep_s=keep_s,
        carry_s=min(wanted.carry_s, keep_s),
        beam_size=1,
        settle_beam_size=1,
        settle_thoroughly=False,
        # In a longer window with several pauses Whisper leaves out what lies between them.
        join_s=min(2 * max_window_s, wanted.max_window_s),
        context_chars=0,
        policy=_ONE_VOTE,
    )

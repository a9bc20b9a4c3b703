"""What a recognizer is told, and what it tells about its work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final as Constant

from rtstt_lab.recognition.endpointing import EndpointingSettings
from rtstt_lab.recognition.policy import POLICIES, CommitPolicy, Policy
from rtstt_lab.types import Word


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """The trade between speed, cost and accuracy.

    Attributes:
        interval_s: new audio that makes another decode worth its cost,
        interval_per_window: or this share of the window's length, if that is more: long windows cost more;
        longest_interval_s: but not more than this.
        opinion_s: while somebody speaks, hypotheses that heard nearly the same are one opinion; from so much
            more audio on the newer one is another.
        max_window_s: when a window has grown past this it is cut
        keep_s: back to this, or a little more, at the best boundary between words.
        first_commit_s: a window shorter than this promises nothing; too little context misleads the model.
        quiet_s: silence that is reason enough for a thorough decode; the rest of the pause then needs none.
        carry_s: the window of a new utterance takes in what was said so shortly before; 0 takes in nothing.
        reread_words: a decode while somebody speaks is given the promised words of its window but for the
            newest few, so many, and goes on from there; ``None`` decodes all of the window anew.
        settle_reread_words: the same of the decode at the end of an utterance.
        beam_size: of the decodes while somebody speaks.
        settle_beam_size: of the one at the end of an utterance.
        settle_thoroughly: that one is checked, and done again over the padded window where it is in doubt.
        join_s: utterances that wait for their decode are decoded together, up to this length; 0 joins none.
        context_chars: so much text from before the window is given to the model; 0 gives none.
        policy: which words are promised while somebody speaks.
        endpointing: what counts as speech, and what as a pause.
        max_segment_s: a segment without a sentence's end is closed after this.
        language_after_s: speech that a detected language is settled after.
    """

    interval_s: float = 0.25
    interval_per_window: float = 0.09
    longest_interval_s: float = 0.5
    opinion_s: float = 0.4
    max_window_s: float = 7.0
    keep_s: float = 3.0
    first_commit_s: float = 1.0
    quiet_s: float = 0.25
    carry_s: float = 3.0
    reread_words: int | None = 1
    settle_reread_words: int | None = 4
    beam_size: int = 2
    settle_beam_size: int = 5
    settle_thoroughly: bool = True
    join_s: float = 0.0
    context_chars: int = 0
    policy: Policy = field(default_factory=CommitPolicy)
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    max_segment_s: float = 20.0
    language_after_s: float = 2.5

    def wait_s(self, window_s: float) -> float:
        """New audio that makes another decode worth its cost, while the window is so long."""
        return max(self.interval_s, min(self.interval_per_window * window_s, self.longest_interval_s))

    @classmethod
    def profile(cls, name: str) -> RecognizerSettings:
        """``balanced`` is the default; ``fast`` costs and waits less, ``accurate`` more.

        A policy's name is ``balanced`` under that policy.

        Raises:
            KeyError: for another name.
        """
        balanced = cls()
        return {
            "fast": replace(balanced, max_window_s=6.0, keep_s=2.0, beam_size=1),
            "balanced": balanced,
            "accurate": replace(
                balanced,
                max_window_s=12.0,
                keep_s=5.0,
                first_commit_s=2.5,
                reread_words=2,
                settle_reread_words=None,
                beam_size=5,
                context_chars=120,
                policy=CommitPolicy(hold_s=0.8, unsure_hold_s=2.0, patience_s=2.5),
            ),
            **{name: replace(balanced, policy=policy) for name, policy in POLICIES.items()},
        }[name]


@dataclass(frozen=True, slots=True)
class RecognizerStart:
    """Where a session is taken up again; by default, the beginning of a new one.

    Attributes:
        start_s: what was said before this is known.
        audio_from_s: time of the first sample that will come; what lies before ``start_s`` is context.
        first_segment: number of the next segment.
        words: what was said before, of the last minute.
    """

    start_s: float = 0.0
    audio_from_s: float = 0.0
    first_segment: int = 0
    words: tuple[Word, ...] = ()


PROFILES: Constant = ("fast", "balanced", "accurate")
"""Of `RecognizerSettings.profile`, policies apart."""


@dataclass(frozen=True, slots=True)
class RecognizerStatistics:
    """What one session has cost so far.

    Attributes:
        decodes: in all,
        settling_decodes: of which thorough, at the end of an utterance.
        fallbacks: windows that were decoded again, padded to 30 s.
        loops: repetitions that were cut off.
        bounded: decodes that met the bound on their tokens.
        tokens: decoded.
        decoded_s: length of all windows together.
        speech_s: length of all utterances together.
        busy_s: time spent in decodes, by the clock on the wall.
    """

    decodes: int = 0
    settling_decodes: int = 0
    fallbacks: int = 0
    loops: int = 0
    bounded: int = 0
    tokens: int = 0
    decoded_s: float = 0.0
    speech_s: float = 0.0
    busy_s: float = 0.0

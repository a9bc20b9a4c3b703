"""The streaming recognizer: audio in, partials and finals out.

Voice activity cuts the audio into utterances. While one is open its window is decoded again every
`interval_s`, and the commit policy promises the words that will not change. The window reaches back a few
seconds behind the last committed word, into an earlier utterance if need be, so that the model hears
context; what it says about those words is matched with what was committed and left out. When it gets quiet
the window is decoded thoroughly, and when the quiet turns out to be a pause, all of that becomes final.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final as Constant

from rtstt_lab.recognition.buffer import AudioBuffer
from rtstt_lab.recognition.continuation import cut
from rtstt_lab.recognition.endpointing import SpeechDetector, SpeechEvent, SpeechStarted
from rtstt_lab.recognition.language import SpokenLanguage
from rtstt_lab.recognition.models import check_language
from rtstt_lab.recognition.pacing import Pace
from rtstt_lab.recognition.promises import Decoded, DecodeKind, Promises, Result
from rtstt_lab.recognition.settings import RecognizerSettings, RecognizerStart, RecognizerStatistics
from rtstt_lab.recognition.whisper import MAX_WINDOW_S, WhisperDecoder, WindowDecode
from rtstt_lab.recognition.windows import Utterance, Window
from rtstt_lab.types import SAMPLE_RATE_HZ, Hypothesis, Samples

__all__ = ["RecognizerSettings", "RecognizerStart", "RecognizerStatistics", "Result", "StreamingRecognizer"]

_log: Constant = logging.getLogger(__name__)

_APART_S: Constant = 2.0  # utterances with a longer pause between them are not decoded together


class StreamingRecognizer:
    """One session: `accept_audio` and the properties may be used while another thread is in `step`.

    Args:
        decoder: the loaded model, shared by sessions.
        settings: the trade; default: balanced.
        language: ISO 639-1 code; ``None`` detects it once and keeps it.
        prompt: names and jargon that the model should expect.
        start: of a session that is taken up again.
        observer: told what became known at each step, so that it can be scored again.
        clock: seconds of the time in which audio comes in; while decodes take too much of it they are made
            fewer and cheaper (`Pace`). ``None`` when nobody waits: the audio alone decides what is said.

    Raises:
        LanguageError: the model doesn't know the language.
    """

    def __init__(
        self,
        decoder: WhisperDecoder,
        *,
        settings: RecognizerSettings | None = None,
        language: str | None = None,
        prompt: str | None = None,
        start: RecognizerStart | None = None,
        observer: Callable[[Decoded], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_language(decoder.model, language)
        self._decoder = decoder
        self._settings = settings or RecognizerSettings()
        self._pace = Pace(self._settings) if clock else None
        self._clock = clock or time.perf_counter
        self._due_at: float | None = None
        self._prompt = (prompt or "").strip()
        self._lock = threading.Lock()
        start = start or RecognizerStart()
        start_s = max(start.start_s, start.audio_from_s)
        self._buffer = AudioBuffer(start.audio_from_s)
        self._detector = SpeechDetector(self._settings.endpointing, start_s=start_s)
        self._known = round((start_s - start.audio_from_s) * SAMPLE_RATE_HZ)
        self._utterances: deque[Utterance] = deque()
        self._spoken = SpokenLanguage(
            "en" if decoder.model.english_only else language, self._settings.language_after_s
        )
        self._promises = Promises(self._settings, start)
        self._observer = observer
        self._ready = False
        self._promised_s = start_s
        self._carry_from_s = start.audio_from_s
        self._anchor_s = start_s
        self._decoded_s = start_s
        self._statistics = RecognizerStatistics()

    @property
    def heard_s(self) -> float:
        """Time of the newest sample that came in."""
        return self._buffer.end_s

    @property
    def settled_s(self) -> float:
        """All audio before this is disposed of: its words are committed, or it holds no speech."""
        with self._lock:
            if not self._utterances:
                return self._detector.quiet_until_s
            return max(self._utterances[0].start_s, self._promised_s)

    @property
    def pending_s(self) -> float:
        """Speech that came in and that no decode has reached."""
        with self._lock:
            return math.fsum(
                max(0.0, (self.heard_s if u.end_s is None else u.end_s) - max(u.start_s, self._decoded_s))
                for u in self._utterances
            )

    @property
    def wants_step(self) -> bool:
        """Whether `step` has something to do."""
        with self._lock:
            return self._wants_step()

    @property
    def wants_final(self) -> bool:
        """Whether an utterance has ended and waits for the decode that makes it final."""
        with self._lock:
            return bool(self._utterances) and self._utterances[0].end_s is not None

    @property
    def slowed(self) -> bool:
        """Decodes are fewer and cheaper than wanted, since they take too long."""
        return self._pace is not None and self._pace.slowed

    @property
    def language(self) -> str | None:
        """As given or as settled; ``None`` while there was too little speech to tell."""
        return self._spoken.settled

    def statistics(self) -> RecognizerStatistics:
        """What this session has cost so far."""
        return self._statistics

    def accept_audio(self, samples: Samples) -> None:
        """Takes audio in, in order.

        Args:
            samples: shape ``(n,)``, float32, 16 kHz mono, any n.
        """
        with self._lock:
            self._buffer.append(samples)
            known, self._known = min(self._known, len(samples)), max(0, self._known - len(samples))
            self._note(self._detector.accept(samples[known:]))
            if not self._utterances:
                self._buffer.drop_before(self._detector.quiet_until_s - self._settings.carry_s)
            self._note_due()

    def step(self) -> list[Result]:
        """Decodes the newest state once, if that is worth it. Blocks; meant for a worker thread.

        Returns:
            What there is to say, in order; empty if there is nothing new.

        Raises:
            RecognitionError: the model failed; the audio is still there, and the step may be tried again.
        """
        with self._lock:
            if not self._wants_step():
                return []
            ready = self._ready and self._heard_to_its_end(self._utterances[0])
            if not ready:
                self._join_waiting()
            window = self._next_window()
        results = self._learn(window, None) if window.kind == "closing" and ready else self._decode(window)
        with self._lock:
            self._due_anew()
        return results

    def _heard_to_its_end(self, utterance: Utterance) -> bool:
        """Whether the newest decode heard the utterance's last word and the quiet after it."""
        return self._decoded_s >= utterance.speech_end_s + self._settings.quiet_s

    def settle(self) -> list[Result]:
        """A pause or the end: everything that was said becomes final. More audio may follow."""
        self.end_utterance()
        results: list[Result] = []
        while self._utterances:
            results += self.step()
        return results

    def end_utterance(self) -> None:
        """What is being said ends here; steps make it final, as long as `wants_final`."""
        with self._lock:
            self._note(self._detector.finish())

    def skip(self) -> list[Result]:
        """Gives up the window that could not be decoded: of it, only what was promised becomes final."""
        with self._lock:
            window = self._next_window() if self._utterances else None
        if window is None:
            return []
        nothing = Hypothesis((), window.start_s, window.end_s, self.language or "en", 0.0, 0.0, 1.0)
        with self._lock:
            if window.kind != "closing":
                self._utterances.appendleft(Utterance(window.start_s, window.end_s))
                self._utterances[1].start_s = window.end_s
            self._carry_from_s = window.end_s
        results = self._learn(replace(window, kind="closing"), nothing)
        with self._lock:
            self._decoded_s = max(self._decoded_s, window.end_s)
            self._buffer.drop_before(self._anchor_s)
            self._due_anew()
        return results

    def _note(self, events: list[SpeechEvent]) -> None:
        for event in events:
            if isinstance(event, SpeechStarted):
                self._utterances.append(Utterance(event.at_s))
                if len(self._utterances) == 1:
                    self._begin_utterance(event.at_s)
            else:
                self._utterances[-1].end_s = event.at_s
                self._utterances[-1].speech_end_s = event.speech_end_s

    def _begin_utterance(self, start_s: float) -> None:
        """Puts the window's start where an utterance begins, or back into the speech shortly before it."""
        carried = self._promises.since(max(start_s - self._settings.carry_s, self._carry_from_s))
        self._anchor_s = max(self._buffer.start_s, carried[0].start_s - 0.1) if carried else start_s
        self._decoded_s = start_s

    def _note_due(self) -> None:
        """Since when a step is due: the wait for its turn is time that the machine doesn't have either."""
        if not self._wants_step():
            self._due_at = None
        elif self._due_at is None:
            self._due_at = self._clock()

    def _due_anew(self) -> None:
        """A step is over: what it was due since says nothing of the next one."""
        self._due_at = None
        self._note_due()

    def _wants_step(self) -> bool:
        if not self._utterances:
            return False
        if self._utterances[0].end_s is not None:
            return True
        if self._quiet():
            return self._decoded_s < self._detector.speech_end_s + self._settings.quiet_s
        wait_s = self._settings.wait_s(self._decoded_s - self._anchor_s)
        return self.heard_s - self._decoded_s >= wait_s - 1 / SAMPLE_RATE_HZ

    def _quiet(self) -> bool:
        """Whether the open utterance may be about to end."""
        return self._detector.silence_s >= self._settings.quiet_s

    def _join_waiting(self) -> None:
        """Makes one of utterances that wait one behind the other, if they are short and close together."""
        while len(self._utterances) > 1:
            first, second = self._utterances[0], self._utterances[1]
            joined_s = (self.heard_s if second.end_s is None else second.end_s) - self._anchor_s
            if joined_s > self._settings.join_s or second.start_s - first.speech_end_s > _APART_S:
                return
            self._utterances.popleft()
            self._utterances[0] = Utterance(first.start_s, second.end_s, second.speech_end_s)

    def _next_window(self) -> Window:
        utterance = self._utterances[0]
        whole_s = self.heard_s if utterance.end_s is None else utterance.end_s
        end_s = min(whole_s, self._anchor_s + MAX_WINDOW_S)
        kind: DecodeKind = "running"
        if utterance.end_s is None:
            kind = "quiet" if self._quiet() else "running"
        elif end_s == whole_s:
            kind = "closing"
        samples = self._buffer.between(self._anchor_s, end_s)
        return Window(samples, self._anchor_s, end_s, self.heard_s, kind)

    def _decode(self, window: Window) -> list[Result]:
        hypothesis = self._hear(window)
        results = self._learn(window, hypothesis)
        with self._lock:
            self._decoded_s = max(self._decoded_s, window.end_s)
            self._buffer.drop_before(min(self._anchor_s, window.end_s - self._settings.carry_s))
        return results

    def _hear(self, window: Window) -> Hypothesis:
        began = self._clock()
        due_at = began if self._due_at is None else self._due_at
        settings = self._settings
        beam_size = settings.settle_beam_size if window.thorough else settings.beam_size
        decoded = self._decoder.decode_window(
            window.samples,
            start_s=window.start_s,
            language=self._spoken.settled or self._detect(window),
            prompt=self._prompt_before(),
            said=self._promises.text_since(
                window.start_s, settings.settle_reread_words if window.thorough else settings.reread_words
            ),
            beam_size=beam_size,
            thorough=window.thorough and settings.settle_thoroughly,
        )
        ended = self._clock()
        self._count(window, decoded, ended - began)
        if self._pace:
            self._pace.decoded(ended - due_at, window.end_s - window.start_s, decoded.tokens, beam_size)
            self._settings = self._pace.settings
            self._promises.adapt(self._settings)
        return decoded.hypothesis

    def _detect(self, window: Window) -> str:
        probabilities = self._decoder.language_probabilities(window.samples)
        return self._spoken.heard(probabilities, window.end_s - window.start_s)

    def _learn(self, window: Window, hypothesis: Hypothesis | None) -> list[Result]:
        """Turns what a window says into results, and moves on to the next window."""
        decoded = Decoded(
            window.heard_s, window.kind, self.language is not None, hypothesis, self._utterances[0].start_s
        )
        if self._observer:
            self._observer(decoded)
        results = self._promises.hear(decoded)
        self._ready = window.kind == "quiet"
        promised = self._promises.since(window.start_s)
        with self._lock:
            if promised:
                self._promised_s = max(self._promised_s, promised[-1].end_s)
            if window.kind == "closing":
                self._utterances.popleft()
                if self._utterances:
                    self._begin_utterance(self._utterances[0].start_s)
        if window.kind != "closing":
            self._cut_window(window.end_s)
        return results

    def _cut_window(self, end_s: float) -> None:
        if end_s - self._anchor_s <= self._settings.max_window_s:
            return
        limit_s = end_s - self._settings.keep_s
        at_s = cut(self._promises.since(self._anchor_s), before_s=limit_s)
        waiting = self._promises.waiting
        full = end_s - self._anchor_s > MAX_WINDOW_S - 1 / SAMPLE_RATE_HZ  # it would be decoded for ever
        if at_s is None and (full or not (waiting and waiting[0].start_s < limit_s)):
            at_s = limit_s  # nothing is being said there, or it does not end
        if at_s is not None and at_s > self._anchor_s:
            with self._lock:
                self._anchor_s = at_s

    def _prompt_before(self) -> str:
        """What the user gave, and the committed text that ends where the window begins."""
        if not self._settings.context_chars:
            return self._prompt
        before = self._promises.text_before(self._anchor_s)
        before = before[-self._settings.context_chars :].partition(" ")[2] if before else ""
        return f"{self._prompt} {before}".strip()

    def _count(self, window: Window, decoded: WindowDecode, busy_s: float) -> None:
        s = self._statistics
        self._statistics = RecognizerStatistics(
            decodes=s.decodes + 1,
            settling_decodes=s.settling_decodes + window.thorough,
            fallbacks=s.fallbacks + decoded.fell_back,
            loops=s.loops + decoded.looped,
            bounded=s.bounded + decoded.bounded,
            tokens=s.tokens + decoded.tokens,
            decoded_s=s.decoded_s + window.end_s - window.start_s,
            speech_s=s.speech_s + window.end_s - max(window.start_s, self._decoded_s),
            busy_s=s.busy_s + busy_s,
        )

"""A worker that hears what a script says, and fails when it is told to."""

from __future__ import annotations

from math import inf

from rtstt_lab.engine import effects as fx
from rtstt_lab.engine.journal import SessionState
from rtstt_lab.engine.resumption import Restart
from rtstt_lab.errors import AudioDecodeError, RecognitionError
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Partial, Word

WORD_S = 0.5


class ScriptedWorker:
    """Hears one word in every half second of PCM, and fails when told to.

    Attributes:
        bad: numbers of chunks that never decode.
        flaky: numbers of chunks that decode at the second try.
        failures: so many recognitions fail from now on.
        deaf: not even a hole can be fed.
        late: so many chunks' audio stays inside the decoder.
        lost_s: it says with the next chunk that so much of what it took gave no audio.
        slowed: it says that it decodes less than it wants to.
        silent: it hears no speech.
        most_s: the most audio that one recognition hears, as a window has an end.

    Args:
        late: see above.
        state: of a session that is taken up again.
    """

    def __init__(self, late: int = 0, state: SessionState | None = None) -> None:
        self.bad: set[int] = set()
        self.flaky: set[int] = set()
        self.failures = 0
        self.deaf = False
        self.late = late
        self.lost_s = 0.0
        self.slowed = False
        self.silent = False
        self.most_s = inf
        self.most_pending_s = 0.0
        self.fed: list[int] = []
        self.skipped_s: list[tuple[float, float]] = []
        self.language: str | None = None
        self._samples = round(state.mark.resume_s * SAMPLE_RATE_HZ) if state else 0
        self._decoded_s = self._final_s = state.start_s if state else 0.0
        self._segment = state.next_segment if state else 0
        self._revision = 0
        self._ended = False

    @property
    def heard_s(self) -> float:
        return self._samples / SAMPLE_RATE_HZ

    def feed(self, chunk: fx.FeedAudio) -> fx.AudioReport:
        if chunk.seq in self.bad:
            raise AudioDecodeError("audio_payload", reason="scripted")
        if chunk.seq in self.flaky:
            self.flaky.remove(chunk.seq)
            raise AudioDecodeError("audio_payload", reason="scripted")
        return self._hear(chunk.seq, len(chunk.payload) // 2)

    def hole(self, hole: fx.FeedHole) -> fx.AudioReport:
        if self.deaf:
            raise RecognitionError("recognition_failed", start_s=self.heard_s, reason="scripted")
        return self._hear(hole.seq, hole.duration_ms * 16)

    def recognise(self, job: fx.Recognise) -> fx.RecognitionReport:
        if self.failures:
            self.failures -= 1
            raise RecognitionError("recognition_failed", start_s=self._decoded_s, reason="scripted")
        heard_s = max(self._decoded_s, min(self.heard_s, self._decoded_s + self.most_s))
        results: list[Partial | Final] = []
        if job.kind == "skip":
            self.skipped_s.append((self._final_s, heard_s))
            self._final_s = self._decoded_s = heard_s
        words = self._words(self._final_s, heard_s)
        if words and job.kind == "step":
            results.append(Partial(self._segment, self._revision, words, max(0, len(words) - 1), heard_s))
            self._revision += 1
        elif words:
            results.append(Final(self._segment, words, heard_s, "en"))
            self._segment, self._revision, self._final_s = self._segment + 1, 0, heard_s
        if job.kind != "step":
            self._final_s = heard_s
        self._decoded_s = heard_s
        self.language = "en"
        self._decoded_s = max(self._decoded_s, self._final_s)
        return fx.RecognitionReport(tuple(results), self._samples, 0.0, self.hearing())

    def hearing(self) -> fx.Hearing:
        pending_s = max(0.0, self.heard_s - self._decoded_s)
        self.most_pending_s = max(self.most_pending_s, pending_s)
        if self.silent:
            self._decoded_s = self._final_s = self.heard_s
        words = self._words(self._final_s, self._decoded_s)
        settled_s = words[-2].end_s if len(words) > 1 else self._final_s
        return fx.Hearing(
            self.heard_s,
            settled_s,
            pending_s,
            pending_s >= WORD_S,
            slowed=self.slowed,
            language=self.language,
        )

    def close(self) -> None:
        """Holds nothing."""

    def _hear(self, seq: int, samples: int) -> fx.AudioReport:
        self.fed.append(seq)
        self._samples += samples
        complete = max(0, seq + 1 - self.late)
        restart = Restart(seq + 1, self.heard_s)
        lost_s, self.lost_s = self.lost_s, 0.0
        return fx.AudioReport(self._samples, complete, restart, None, self.hearing(), lost_s)

    @staticmethod
    def _words(start_s: float, end_s: float) -> tuple[Word, ...]:
        first, last = round(start_s / WORD_S), int(end_s / WORD_S + 1e-6)
        return tuple(Word(f" w{i}", i * WORD_S, (i + 1) * WORD_S, 0.8) for i in range(first, last))


def words(first: int, last: int) -> str:
    """The text of the scripted words from ``first`` up to ``last``."""
    return " ".join(f"w{i}" for i in range(first, last))

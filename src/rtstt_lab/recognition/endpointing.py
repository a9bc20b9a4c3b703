"""Where speech begins and ends, found while it comes in.

Silero's network (the file that faster-whisper ships) judges 32 ms of audio at a time; its state is kept
from call to call, so that judging goes on where it stopped. faster-whisper's own wrapper starts afresh at
every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from typing import Final as Constant

import numpy as np
import onnxruntime
from faster_whisper.utils import get_assets_path
from numpy.typing import NDArray

from rtstt_lab.types import SAMPLE_RATE_HZ, Samples

FRAME_SAMPLES: Constant = 512
"""What one judgement covers: 32 ms."""

_CONTEXT_SAMPLES: Constant = 64
_FRAMES_A_CALL: Constant = 1000  # bounds the memory that a whole recording takes
_FRAME_S: Constant = FRAME_SAMPLES / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Hysteresis and margins.

    Attributes:
        onset: speech begins at this probability,
        offset: and is over below this one.
        min_speech_s: what is shorter is no speech.
        pause_s: silence that ends an utterance.
        pre_roll_s: audio before the first frame judged as speech that belongs to the utterance.
    """

    onset: float = 0.5
    offset: float = 0.35
    min_speech_s: float = 0.096
    pause_s: float = 0.6
    pre_roll_s: float = 0.3


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance began.

    Attributes:
        at_s: its first sample, pre-roll included.
    """

    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """An utterance is over.

    Attributes:
        at_s: the end of its audio, the pause that ended it included.
        speech_end_s: the end of its last frame of speech.
    """

    at_s: float
    speech_end_s: float


SpeechEvent: TypeAlias = SpeechStarted | SpeechEnded


class SpeechDetector:
    """Streaming voice activity of one session.

    Args:
        settings: hysteresis and margins.
        start_s: time of the first sample that will come.
    """

    def __init__(self, settings: EndpointingSettings | None = None, *, start_s: float = 0.0) -> None:
        self._settings = settings or EndpointingSettings()
        self._network = _Network()
        self._rest = np.zeros(0, np.float32)
        self._origin_s = start_s
        self._judged = 0
        self._ended_s = start_s
        self._speaking = False
        self._candidate: int | None = None
        self._candidate_frames = 0
        self._speech_end_s = start_s
        self._in_silence = False

    @property
    def judged_s(self) -> float:
        """Everything before this has been judged."""
        return self._time(self._judged)

    @property
    def quiet_until_s(self) -> float:
        """No utterance that is yet to be announced will begin before this."""
        first = self._judged if self._candidate is None else self._candidate
        return max(self._ended_s, self._time(first) - self._settings.pre_roll_s)

    @property
    def speech_end_s(self) -> float:
        """The end of the last frame that was judged as speech."""
        return self._speech_end_s

    @property
    def silence_s(self) -> float:
        """How long it has been quiet within the present utterance; 0 outside of one."""
        return self.judged_s - self.speech_end_s if self._speaking and self._in_silence else 0.0

    def accept(self, samples: Samples) -> list[SpeechEvent]:
        """Judges what came in.

        Args:
            samples: shape ``(n,)``, any n; what doesn't fill a frame waits for the next call.
        """
        waiting = np.concatenate((self._rest, samples))
        whole = len(waiting) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = waiting[whole:].copy()
        if not whole:
            return []
        probabilities = self._network.judge(waiting[:whole].reshape(-1, FRAME_SAMPLES))
        return [event for p in probabilities if (event := self._frame(float(p)))]

    def finish(self) -> list[SpeechEvent]:
        """The audio ends here: judges the rest and ends the utterance. More audio may follow later."""
        events: list[SpeechEvent] = []
        end_s = self.judged_s + len(self._rest) / SAMPLE_RATE_HZ
        if len(self._rest):
            events += self.accept(np.zeros(FRAME_SAMPLES - len(self._rest), np.float32))
        if self._candidate is not None:
            events.append(self._start(self._candidate))
        if self._speaking:
            events.append(self._end())
        # The clock of the samples goes on from where they stopped, not from the end of the filled-up frame.
        self._origin_s, self._judged, self._ended_s = end_s, 0, end_s
        self._speech_end_s = min(self._speech_end_s, end_s)
        self._candidate, self._candidate_frames = None, 0
        self._network = _Network()
        return [_not_after(event, end_s) for event in events]

    def _time(self, frame: int) -> float:
        return self._origin_s + frame * _FRAME_S

    def _frame(self, probability: float) -> SpeechEvent | None:
        frame = self._judged
        self._judged += 1
        return (
            self._while_speaking(frame, probability)
            if self._speaking
            else self._while_quiet(frame, probability)
        )

    def _while_quiet(self, frame: int, probability: float) -> SpeechEvent | None:
        if probability < self._settings.offset:
            self._candidate, self._candidate_frames = None, 0
        elif probability >= self._settings.onset:
            self._candidate = frame if self._candidate is None else self._candidate
            self._candidate_frames += 1
            if self._candidate_frames * _FRAME_S >= self._settings.min_speech_s:
                return self._start(self._candidate)
        return None

    def _while_speaking(self, frame: int, probability: float) -> SpeechEvent | None:
        if probability >= self._settings.onset:
            self._in_silence = False
        elif probability < self._settings.offset:
            self._in_silence = True
        if not self._in_silence:
            self._speech_end_s = self._time(frame + 1)
        return self._end() if self.silence_s >= self._settings.pause_s else None

    def _start(self, frame: int) -> SpeechStarted:
        at_s = max(self._ended_s, self._time(frame) - self._settings.pre_roll_s)
        self._speaking, self._in_silence, self._speech_end_s = True, False, self.judged_s
        self._candidate, self._candidate_frames = None, 0
        return SpeechStarted(at_s)

    def _end(self) -> SpeechEnded:
        self._speaking, self._ended_s = False, self.judged_s
        return SpeechEnded(self.judged_s, self._speech_end_s)


def _not_after(event: SpeechEvent, end_s: float) -> SpeechEvent:
    if isinstance(event, SpeechStarted):
        return SpeechStarted(min(event.at_s, end_s))
    return SpeechEnded(min(event.at_s, end_s), min(event.speech_end_s, end_s))


def speech_probabilities(samples: Samples) -> NDArray[np.float32]:
    """Judges a whole recording.

    Args:
        samples: shape ``(n,)``, float32, 16 kHz mono.

    Returns:
        The probability of speech in each `FRAME_SAMPLES`; what is left at the end is filled up with silence.
    """
    network = _Network()
    filled = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
    judged = [network.judge(filled[at : at + _FRAMES_A_CALL]) for at in range(0, len(filled), _FRAMES_A_CALL)]
    return np.concatenate([np.zeros(0, np.float32), *judged])


class _Network:
    """Silero's recurrent state and the samples that it looks back on."""

    def __init__(self) -> None:
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def judge(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of speech a frame: shape ``(n, FRAME_SAMPLES)`` → ``(n,)``."""
        flat = np.concatenate((self._context, frames.ravel()))
        starts = np.arange(len(frames))[:, None] * FRAME_SAMPLES
        seen = flat[starts + np.arange(_CONTEXT_SAMPLES + FRAME_SAMPLES)]
        probabilities, self._hidden, self._cell = _session().run(
            None, {"input": seen, "h": self._hidden, "c": self._cell}
        )
        self._context = flat[-_CONTEXT_SAMPLES:]
        return np.asarray(probabilities, np.float32).ravel()


@cache
def _session() -> Any:
    """The network, loaded once for all sessions; onnxruntime's sessions may be shared by threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    (path,) = Path(get_assets_path()).glob("silero_vad*.onnx")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

"""Executes a session's feeds and recognitions, in a thread of the server or in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rtstt_lab.audio.quality import QualityMeter
from rtstt_lab.audio.stream import StreamDecoder, silence
from rtstt_lab.engine.effects import (
    AudioReport,
    FeedAudio,
    FeedHole,
    Hearing,
    Recognise,
    RecognitionReport,
)
from rtstt_lab.engine.resumption import AudioStart, Restart
from rtstt_lab.errors import SequenceError
from rtstt_lab.recognition.streaming import StreamingRecognizer
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Partial, Samples


class SessionWorker:
    """One session's decoder and recognizer. Feeds may come while `recognise` runs in another thread.

    Args:
        recognizer: this session's own.
        cpu_clock: seconds of processor time; told apart, so that a simulation may have its own.
        start: where its audio is taken up again.
    """

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        *,
        cpu_clock: Callable[[], float],
        start: AudioStart | None = None,
    ) -> None:
        self._start = start or AudioStart()
        self._recognizer = recognizer
        self._cpu_clock = cpu_clock
        self._meter = QualityMeter()
        self._results: list[Partial | Final] = []
        self._samples = round(self._start.at_s * SAMPLE_RATE_HZ)
        self._stream = self._start.stream
        self._exact = self._start.shift_s is None
        self._decoder: StreamDecoder | None = None
        self._first_seq: int | None = None
        self._fed_bytes = 0
        self._lost_s = self._lost_told_s = 0.0
        self._inside: deque[tuple[int, int]] = deque()

    def feed(self, chunk: FeedAudio) -> AudioReport:
        """Decodes a chunk and gives its samples to the recognizer.

        Raises:
            AudioError: it cannot be decoded; fed again, it is tried with a fresh decoder.
            SequenceError: it belongs to a recorder that is over.
        """
        decoder = self._decoder_of(chunk)
        before = self._samples
        self._hear(decoder.feed(chunk.payload, captured_end_s=(chunk.captured_ms + chunk.duration_ms) / 1000))
        self._fed_bytes += len(chunk.payload)
        self._inside.append((chunk.seq, self._fed_bytes))
        complete_seq = self._complete_seq(chunk.seq)
        return self._report(complete_seq, self._restart(chunk, decoder, before))

    def hole(self, hole: FeedHole) -> AudioReport:
        """Lets the time of a lost chunk pass in silence."""
        duration_s = hole.duration_ms / 1000
        self._hear(self._decoder.hole(duration_s) if self._decoder else silence(duration_s))
        self._inside.append((hole.seq, self._fed_bytes))
        after = Restart(hole.seq + 1, self._samples / SAMPLE_RATE_HZ) if self._exact else None
        return self._report(self._complete_seq(hole.seq), after)

    def recognise(self, job: Recognise) -> RecognitionReport:
        """Runs the recognizer once.

        Raises:
            RecognitionError: the model failed; nothing was lost, and the same job may be tried again.
        """
        began = self._cpu_clock()
        if job.kind == "step":
            self._results += self._recognizer.step()
        elif job.kind == "skip":
            self._results += self._recognizer.skip()
        else:
            if job.kind == "finish":
                self._finish_stream()
            self._settle()
        results, self._results = tuple(self._results), []
        lost_s = self._take_lost_s() if job.kind == "finish" else 0.0
        return RecognitionReport(results, self._samples, self._cpu_clock() - began, self._hearing(), lost_s)

    def close(self) -> None:
        """Ends the decoder's thread and drops what it held."""
        if self._decoder:
            self._decoder.close()
            self._decoder = None

    def _settle(self) -> None:
        """Step by step, so that what one step said is not lost when the next one fails."""
        self._recognizer.end_utterance()
        while self._recognizer.wants_final:
            self._results += self._recognizer.step()

    def _decoder_of(self, chunk: FeedAudio) -> StreamDecoder:
        if chunk.stream < self._stream:
            raise SequenceError("stream_over", seq=chunk.seq, stream=chunk.stream, current=self._stream)
        if chunk.stream > self._stream or self._decoder is None:
            self._finish_stream()
            self._stream = chunk.stream
            self._decoder = StreamDecoder(
                chunk.format,
                first_payload=chunk.first_payload,
                begin_s=self._samples / SAMPLE_RATE_HZ - (self._start.shift_s or 0.0),
            )
            self._exact = chunk.format.container == "pcm"
            self._fed_bytes = 0
            self._first_seq = None if chunk.first_payload else chunk.seq
        return self._decoder

    def _restart(self, chunk: FeedAudio, decoder: StreamDecoder, before: int) -> Restart | None:
        """Where a fresh decoder could begin, this chunk being the newest."""
        if not decoder.restartable:
            return None
        if chunk.format.container == "pcm":
            return Restart(chunk.seq + 1, self._samples / SAMPLE_RATE_HZ)
        at_s = before / SAMPLE_RATE_HZ
        if chunk.seq == self._first_seq:
            return Restart(chunk.seq, at_s)
        if decoder.clock_s is None:
            return None
        return Restart(chunk.seq, at_s, self._samples / SAMPLE_RATE_HZ - decoder.clock_s)

    def _finish_stream(self) -> None:
        if self._decoder:
            decoder, self._decoder = self._decoder, None
            self._hear(decoder.finish())
            self._lost_s += decoder.lost_s
        self._inside.clear()

    def _hear(self, samples: Samples) -> None:
        self._samples += len(samples)
        if len(samples):
            self._meter.feed(samples)
            self._recognizer.accept_audio(samples)

    def _complete_seq(self, newest_seq: int) -> int:
        """The first chunk of which some audio may still be inside the decoder."""
        consumed = self._decoder.consumed_bytes if self._decoder else self._fed_bytes
        while self._inside and self._inside[0][1] <= consumed:
            self._inside.popleft()
        return self._inside[0][0] if self._inside else newest_seq + 1

    def _report(self, complete_seq: int, restart: Restart | None) -> AudioReport:
        measured, hearing = self._meter.measure(), self._hearing()
        return AudioReport(self._samples, complete_seq, restart, measured, hearing, self._take_lost_s())

    def _take_lost_s(self) -> float:
        lost_s = self._lost_s + (self._decoder.lost_s if self._decoder else 0.0)
        new_s, self._lost_told_s = lost_s - self._lost_told_s, lost_s
        return new_s

    def _hearing(self) -> Hearing:
        recognizer = self._recognizer
        return Hearing(
            heard_s=recognizer.heard_s,
            settled_s=recognizer.settled_s,
            pending_s=recognizer.pending_s,
            wants_step=recognizer.wants_step,
            slowed=recognizer.slowed,
            language=recognizer.language,
        )

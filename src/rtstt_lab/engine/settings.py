"""The engine's bounds and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Defaults are the specification's; queue and session length are in the session's `Limits`.

    Attributes:
        feed_ahead_s: unheard speech that the recognizer is given at once; the rest waits in the queue.
        warning_before_s: how long before the session's greatest length its end is announced (E3).
        metrics_s: time between two `server:metrics`.
        acknowledge_s: how long a finished session waits for its client's acknowledgement,
        linkless_s: how long one without a link is kept (rule 4),
        failed_s: and how long the text of one that could not be saved can still be fetched.
        context_s: audio before what is settled that the client keeps: a recognizer that takes the session up
            hears new words in their context.
        no_audio_s: without a chunk while recording is told.
        hang_s: so long a call that hangs is waited for, before the session is ended and saved.
        max_events: numbered events of one session: all are kept for those who come back; it is finished then.
        low_memory_mb: a warning below this (A2).
        least_memory_mb: saved and released below this (E3).
    """

    feed_ahead_s: float = 10.0
    warning_before_s: float = 60.0
    metrics_s: float = 1.0
    acknowledge_s: float = 30.0
    linkless_s: float = 120.0
    failed_s: float = 3_600.0
    context_s: float = 3.0
    no_audio_s: float = 2.0
    hang_s: float = 120.0
    max_events: int = 20_000
    low_memory_mb: float = 1_024.0
    least_memory_mb: float = 256.0

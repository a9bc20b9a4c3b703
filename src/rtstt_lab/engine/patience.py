"""How long a piece of work may take before it counts as hanging."""

from __future__ import annotations

_FORGETTING = 0.98


class Patience:
    """Bounds a decode by the audio that it has to hear and by how slow this machine was lately.

    The bound is for calls that never return; whoever is merely slow stays far below it: the slowest rate of
    the last decodes (it fades by 2 % a decode), taken `factor` times, over a fixed least.

    Args:
        least_s: even where there is no audio.
        factor: so many times slower than the slowest of late.
        rate: seconds of decoding per second of audio, before anything was measured.
    """

    def __init__(self, least_s: float = 30.0, factor: float = 10.0, rate: float = 1.0) -> None:
        self._least_s = least_s
        self._factor = factor
        self._rate = rate

    def allowed_s(self, audio_s: float) -> float:
        """For work on so much audio."""
        return self._least_s + self._factor * self._rate * audio_s

    def took(self, audio_s: float, seconds: float) -> None:
        """Some work has ended well."""
        if audio_s > 0:
            self._rate = max(seconds / max(audio_s, 1.0), self._rate * _FORGETTING)

"""Whole sound files, of any container that FFmpeg reads, as samples."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from rtstt_lab.errors import AudioEmptyError, AudioFormatError
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


def read_samples(path: Path) -> Samples:
    """Decodes a file's first audio stream, resamples it to 16 kHz and takes the mean of its channels.

    Args:
        path: wav, flac, mp3, ogg, webm, m4a or anything else with an audio stream in it.

    Returns:
        Shape ``(n,)``, float32, 16 kHz mono, nominally in [-1, 1]; values that are no numbers are 0.

    Raises:
        AudioFormatError: nothing there, or no audio that can be decoded to its end.
        AudioEmptyError: audio of no length.
    """
    if not path.exists():
        raise AudioFormatError("audio_missing", path=str(path))
    if path.is_file() and path.stat().st_size == 0:
        raise AudioEmptyError("audio_empty", path=str(path))
    try:
        blocks = _decode(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioFormatError("audio_file", path=str(path), reason=reason) from error
    samples = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)
    if samples.size == 0:
        raise AudioEmptyError("audio_empty", path=str(path))
    samples[~np.isfinite(samples)] = 0.0
    return samples


def _decode(path: Path) -> list[Samples]:
    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            raise ValueError("no audio stream")
        frames: list[av.AudioFrame] = []
        try:
            for frame in container.decode(audio=0):
                frames += resampler.resample(frame)
        except av.FFmpegError as error:
            if not frames:
                raise
            seconds = sum(frame.samples for frame in frames) / SAMPLE_RATE_HZ
            raise AudioFormatError(
                "audio_file_torn", path=str(path), seconds=seconds, reason=error.strerror
            ) from error
        frames += resampler.resample(None)
    # FFmpeg's own mixing of float samples sums the channels by power, which can leave [-1, 1].
    return [frame.to_ndarray().mean(axis=0, dtype=np.float32) for frame in frames]

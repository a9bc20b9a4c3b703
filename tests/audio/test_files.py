"""Whole sound files become 16 kHz mono samples, whatever they were."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from rtstt_lab.audio.files import read_samples
from rtstt_lab.errors import AudioEmptyError, AudioError, AudioFormatError
from rtstt_lab.types import SAMPLE_RATE_HZ


def tone(rate_hz: int, seconds: float, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(
        np.float32
    )


def encode(path: Path, samples: np.ndarray, codec: str, rate_hz: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        resampler = av.AudioResampler(stream.format, stream.layout, rate_hz, stream.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def test_pcm_at_16_khz_comes_back_exactly(tmp_path: Path) -> None:
    """Nothing is lost where nothing has to be converted."""
    pcm = (tone(16_000, 0.5) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", pcm, 16_000, subtype="PCM_16")
    samples = read_samples(tmp_path / "a.flac")
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, pcm.astype(np.float32) / 32768)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_without_stretch_or_delay(tmp_path: Path, rate_hz: int) -> None:
    """A 440 Hz tone of 2 s stays a 440 Hz tone of 2 s, in phase."""
    soundfile.write(tmp_path / "a.wav", tone(rate_hz, 2.0), rate_hz)
    samples = read_samples(tmp_path / "a.wav")
    assert abs(len(samples) - 2 * SAMPLE_RATE_HZ) <= 8
    inside = slice(1_000, 30_000)
    np.testing.assert_allclose(samples[inside], tone(SAMPLE_RATE_HZ, 2.0)[inside], atol=0.02)


def test_what_lies_above_8_khz_does_not_fold_back(tmp_path: Path) -> None:
    """A 12 kHz tone at 48 kHz is gone after resampling, by 40 dB at least."""
    soundfile.write(tmp_path / "a.wav", tone(48_000, 1.0, 12_000.0), 48_000)
    inside = read_samples(tmp_path / "a.wav")[1_000:-1_000]
    assert np.sqrt(np.mean(np.square(inside))) < 0.5 / np.sqrt(2) * 10 ** (-40 / 20)


def test_stereo_is_mixed_down(tmp_path: Path) -> None:
    """Both channels are heard."""
    left = tone(16_000, 0.5)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), 16_000)
    samples = read_samples(tmp_path / "a.wav")
    assert samples.shape == left.shape
    np.testing.assert_allclose(samples, left / 2, atol=1e-3)


@pytest.mark.requirement("D1")
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.webm", "libopus"), ("a.ogg", "libopus"), ("a.m4a", "aac"), ("a.mp3", "libmp3lame")],
)
def test_compressed_containers_are_read(tmp_path: Path, name: str, codec: str) -> None:
    """What browsers and phones record is read in full length."""
    encode(tmp_path / name, tone(48_000, 2.0), codec, 48_000)
    samples = read_samples(tmp_path / name)
    assert abs(len(samples) / SAMPLE_RATE_HZ - 2.0) < 0.15
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(samples) - 440) < 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message names the path, in both languages."""
    with pytest.raises(AudioFormatError) as caught:
        read_samples(tmp_path / "none.wav")
    assert caught.value.key == "audio_missing"
    for language in ("en", "es"):
        assert "none.wav" in caught.value.localized(language)


@pytest.mark.parametrize(
    "content", [b"not audio at all", b"RIFF\x00\x00\x00\x00WAVE", b"\x1aE\xdf\xa3" + bytes(64)]
)
def test_a_file_that_is_no_audio_is_refused(tmp_path: Path, content: bytes) -> None:
    """Text, a header without sound and a torn container give the error for files that hold no audio."""
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError):
        read_samples(tmp_path / "a.wav")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder is not a sound file."""
    with pytest.raises(AudioFormatError, match="holds no audio"):
        read_samples(tmp_path)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    """A container without an audio stream says so."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), dtype=np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioFormatError, match="no audio stream"):
        read_samples(tmp_path / "a.mp4")


def test_audio_of_no_length_is_refused(tmp_path: Path) -> None:
    """An empty file, and a valid one without a sample, are both empty."""
    (tmp_path / "a.wav").touch()
    soundfile.write(tmp_path / "b.wav", np.empty(0, dtype=np.float32), 16_000)
    for name in ("a.wav", "b.wav"):
        with pytest.raises(AudioEmptyError):
            read_samples(tmp_path / name)


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=400))
def test_any_bytes_give_samples_or_an_audio_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Whatever the file holds, nothing but an AudioError comes out of it."""
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(content)
    with suppress(AudioError):
        assert len(read_samples(path)) > 0


def test_a_torn_file_says_how_far_it_can_be_read(tmp_path: Path) -> None:
    """Half a FLAC is refused, and not as if there were nothing in it."""
    soundfile.write(tmp_path / "whole.flac", tone(16_000, 4.0), 16_000)
    data = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioFormatError) as caught:
        read_samples(tmp_path / "half.flac")
    assert caught.value.key == "audio_file_torn"
    assert 0 < caught.value.parameters["seconds"] < 4
    assert "half.flac" in caught.value.localized("es")


def test_samples_that_are_no_numbers_are_silent(tmp_path: Path) -> None:
    """Some programs write NaN and infinity into float files; what is around them stays."""
    samples = tone(16_000, 1.0)
    samples[4_000:4_010] = np.nan, *[np.inf] * 4, *[-np.inf] * 5
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    expected = np.where(np.isfinite(samples), samples, 0.0)
    np.testing.assert_array_equal(read_samples(tmp_path / "a.wav"), expected)

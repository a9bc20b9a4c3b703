"""Whisper on short windows; the only module that touches a loaded model.

Every window of a plain Whisper is padded to 30 s, whatever it holds. On CPUs the encoder is given the
window itself here, six to ten times cheaper. Left like that the decoder often fails to stop, because it
was trained to find quiet after the speech; three things mend it: about 1 s of zeros after the samples, the
encoding of pure silence appended to the encoder's output, and a bound on the tokens with a guard against
loops. On a GPU the full window costs next to nothing and is used as it is.

A decode may be given the words that stand already: it reads them as one batch and goes on from there; see
`batched_prefix`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from typing import Final as Constant

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import merge_punctuations

from rtstt_lab.errors import ModelNotFoundError, RecognitionError
from rtstt_lab.recognition.batched_prefix import ORDER_VERSION, Prefixes, reordered
from rtstt_lab.recognition.encoding import POSITIONS, POSITIONS_PER_S, Encoded, WindowEncoder
from rtstt_lab.recognition.guards import compression_ratio, token_bound, without_loop
from rtstt_lab.recognition.models import LocalModel, ModelStore, check_language
from rtstt_lab.recognition.placement import DecoderOptions, placement
from rtstt_lab.types import SAMPLE_RATE_HZ, Final, Hypothesis, Samples, Word

__all__ = ["DecoderOptions", "WhisperDecoder", "WindowDecode"]

_log: Constant = logging.getLogger(__name__)

MAX_WINDOW_S: Constant = 29.0
"""The longest window: 30 s is what the encoder has positions for, less the second of zeros."""

# oneDNN compiles the encoder's convolutions for each length of window, and keeps 1024 results of a megabyte
# or so. Few lengths come twice.
_KEPT_KERNELS: Constant = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
_MAX_PROMPT_TOKENS: Constant = 223  # half of the decoder's context, less the start-of-previous token
_PREPENDED: Constant = "\"'“¿([{-"
_APPENDED: Constant = "\"'.。,，!！?？:：”)]}、"
_UNSURE_LOG_PROBABILITY: Constant = -1.0
_NO_SPEECH_PROBABILITY: Constant = 0.6
_LOOPING_COMPRESSION: Constant = 2.4
_LEAST_TOKENS: Constant = 8


@dataclass(frozen=True, slots=True)
class WindowDecode:
    """A hypothesis and what it took to get it.

    Attributes:
        hypothesis: what the window says.
        tokens: decoded, all attempts together.
        fell_back: the short window was not to be trusted and the padded one was decoded.
        looped: a repetition was cut off.
        bounded: the bound on the tokens was met.
    """

    hypothesis: Hypothesis
    tokens: int
    fell_back: bool
    looped: bool
    bounded: bool


@dataclass(frozen=True, slots=True)
class _Text:
    tokens: list[int]
    average_log_probability: float
    no_speech_probability: float
    looped: bool
    bounded: bool
    decoded: int
    prefixed: bool

    @property
    def says_nothing(self) -> bool:
        """Whisper's own rule: an unlikely text where speech is unlikely is no text."""
        return (
            not self.prefixed
            and self.no_speech_probability > _NO_SPEECH_PROBABILITY
            and self.average_log_probability < _UNSURE_LOG_PROBABILITY
        )


class WhisperDecoder:
    """One loaded model. Safe to share: calls are independent, `DecoderOptions.workers` run at once."""

    def __init__(
        self,
        model: LocalModel,
        whisper: WhisperModel,
        options: DecoderOptions,
        prefixes: Prefixes,
    ) -> None:
        self._local = model
        self._whisper = whisper
        self._model = whisper.model
        self._options = options
        self._prefixes = prefixes
        self._encoder = WindowEncoder(whisper)
        self._short_windows = self._model.device == "cpu" and options.tail_positions is not None
        self._tokenizer = lru_cache(maxsize=None)(self._make_tokenizer)

    @classmethod
    def load(cls, model: LocalModel, options: DecoderOptions | None = None) -> WhisperDecoder:
        """Loads the weights; takes about a second for ``base``.

        Raises:
            ModelNotFoundError: the folder holds no model that CTranslate2 can load so.
        """
        options = options or DecoderOptions()
        device, compute_type = placement(options)
        os.environ.setdefault(*_KEPT_KERNELS)
        folder, prefixes = _for_prefixes(model) if device == "cpu" else (model.path, Prefixes())
        try:
            whisper = WhisperModel(
                os.fspath(folder),
                device=device,
                compute_type=compute_type,
                cpu_threads=options.threads,
                num_workers=options.workers,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelNotFoundError(
                "model_load", name=model.name, device=device, compute_type=compute_type, reason=error
            ) from error
        return cls(model, whisper, options, prefixes)

    def with_tail(self, positions: int | None) -> WhisperDecoder:
        """The same loaded weights with other `DecoderOptions.tail_positions`."""
        options = replace(self._options, tail_positions=positions)
        return type(self)(self._local, self._whisper, options, self._prefixes)

    @property
    def model(self) -> LocalModel:
        """The weights in use."""
        return self._local

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return str(self._model.device)

    @property
    def compute_type(self) -> str:
        """As CTranslate2 resolved it, e.g. ``int8_float32``."""
        return str(self._model.compute_type)

    def warm_up(self) -> None:
        """Runs every stage once, so that the first session pays for no lazy start."""
        noise = np.random.default_rng(0).normal(0, 0.01, 2 * SAMPLE_RATE_HZ).astype(np.float32)
        self.decode_window(noise, start_s=0.0, language="en", said=" one two")
        self.decode_window(noise, start_s=0.0, language="en", thorough=True)

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        """How likely each language is; English alone for an English-only model.

        Args:
            samples: shape ``(n,)``, speech; under a second says little.
        """
        if self._local.english_only:
            return {"en": 1.0}
        encoded = self._encode(samples[: int(MAX_WINDOW_S * SAMPLE_RATE_HZ)])
        (found,) = self._model.detect_language(encoded.memory)
        return {token.strip("<|>"): float(probability) for token, probability in found}

    def decode_window(
        self,
        samples: Samples,
        *,
        start_s: float,
        language: str | None,
        prompt: str = "",
        said: str = "",
        beam_size: int = 1,
        thorough: bool = False,
    ) -> WindowDecode:
        """Recognises one window and says what it took.

        Args:
            samples: shape ``(n,)``, at most `MAX_WINDOW_S` long.
            start_s: time of the first sample on the session's audio clock.
            language: ISO 639-1 code; ``None`` takes the most likely one.
            prompt: text that came before, or names that are expected; goes before the start of the
                transcript.
            said: text that the window begins with and that stands; the decode goes on from there. On a GPU,
                and for a model that can't do that, all is decoded anew.
            beam_size: 1 decodes greedily.
            thorough: decode once more, padded to 30 s and without prompt, when the result is not to be
                trusted.

        Raises:
            RecognitionError: the model failed.
        """
        duration_s = len(samples) / SAMPLE_RATE_HZ
        if duration_s > MAX_WINDOW_S:
            raise ValueError(f"a window of {duration_s:.1f} s is longer than {MAX_WINDOW_S} s")
        language = language or max((p := self.language_probabilities(samples)), key=lambda code: p[code])
        try:
            encoded = self._encode(samples, thorough=thorough)
            generate = partial(self._generate, language=language, duration_s=duration_s, beam_size=beam_size)
            text = generate(encoded, prompt=prompt, said=said)
            decoded, fell_back = text.decoded, False
            if text.prefixed and (text.looped or text.bounded):
                text = generate(encoded, prompt=prompt)
                decoded += text.decoded
            if thorough and self._short_windows and self._dubious(text, language):
                padded = self._encoder.padded(samples)
                again = generate(padded)
                decoded, fell_back = decoded + again.decoded, True
                if text.looped or again.average_log_probability > text.average_log_probability:
                    encoded, text = padded, again
            words = [] if text.says_nothing else self._align(text, encoded, language, duration_s)
        except RuntimeError as error:
            raise RecognitionError("recognition_failed", start_s=start_s, reason=error) from error
        end_s = start_s + duration_s
        hypothesis = Hypothesis(
            words=tuple(
                Word(
                    word["word"],
                    start_s + float(word["start"]),
                    start_s + float(word["end"]),
                    float(word["probability"]),
                )
                for word in words
            ),
            start_s=start_s,
            end_s=end_s,
            language=language,
            average_log_probability=text.average_log_probability,
            compression_ratio=compression_ratio("".join(word["word"] for word in words)),
            no_speech_probability=text.no_speech_probability,
        )
        return WindowDecode(hypothesis, decoded, fell_back, text.looped, text.bounded)

    def transcribe_offline(
        self, samples: Samples, *, language: str | None = None, prompt: str | None = None, beam_size: int = 5
    ) -> list[Final]:
        """Plain faster-whisper over a whole recording: what streaming is compared with.

        Args:
            samples: shape ``(n,)``, any length.
            language: ISO 639-1 code; ``None`` detects it.
            prompt: text that is put before the first window.
            beam_size: faster-whisper's default is 5.

        Returns:
            One `Final` a segment of faster-whisper, word times included.

        Raises:
            LanguageError: the model doesn't know the language.
        """
        check_language(self._local, language)
        segments, info = self._whisper.transcribe(
            samples,
            language=language,
            initial_prompt=prompt,
            beam_size=beam_size,
            word_timestamps=True,
            suppress_tokens=[-1, *self._prefixes.ends.values()],
        )
        heard_s = len(samples) / SAMPLE_RATE_HZ
        spoken = [
            [Word(w.word, float(w.start), float(w.end), float(w.probability)) for w in segment.words or ()]
            for segment in segments
        ]
        return [
            Final(number, tuple(words), heard_s, info.language)
            for number, words in enumerate(filter(None, spoken))
        ]

    def _make_tokenizer(self, language: str) -> Tokenizer:
        return Tokenizer(
            self._whisper.hf_tokenizer, not self._local.english_only, task="transcribe", language=language
        )

    def _encode(self, samples: Samples, *, thorough: bool = False) -> Encoded:
        tail_positions = self._options.tail_positions
        if not self._short_windows or tail_positions is None:
            return self._encoder.padded(samples)
        return self._encoder.short(samples, POSITIONS if thorough else tail_positions)

    def _generate(
        self,
        encoded: Encoded,
        *,
        language: str,
        duration_s: float,
        beam_size: int,
        prompt: str = "",
        said: str = "",
    ) -> _Text:
        tokenizer = self._tokenizer(language)
        prefix = self._prefixes.shortened(tokenizer.encode(said))
        sequence = [*tokenizer.sot_sequence, tokenizer.no_timestamps, *self._prefixes.written(prefix)]
        if prompt.strip():
            before = tokenizer.encode(" " + prompt.strip())[-_MAX_PROMPT_TOKENS:]
            sequence = [tokenizer.sot_prev, *before, *sequence]
        bound = max(token_bound(duration_s, language) - len(prefix), _LEAST_TOKENS)
        (result,) = self._model.generate(
            encoded.memory,
            [sequence],
            beam_size=beam_size,
            # CTranslate2 allows min(max_length / 2, max_length - prompt) tokens.
            max_length=bound + max(bound, len(sequence)),
            return_scores=True,
            return_no_speech_prob=True,
            # With a prefix it would ask for timestamps and forbid to stop at once.
            suppress_tokens=[-1, *self._prefixes.timestamps] if prefix else [-1],
            suppress_blank=not prefix,
        )
        fresh = list(result.sequences_ids[0])[
            bool(prefix) :
        ]  # what comes back begins with the prefix's last token
        tokens = [*prefix, *fresh]
        kept = without_loop(tokens)
        return _Text(
            kept,
            float(result.scores[0]),
            float(result.no_speech_prob),
            len(kept) < len(tokens),
            len(fresh) >= bound,
            len(fresh),
            bool(prefix),
        )

    def _dubious(self, text: _Text, language: str) -> bool:
        return (
            text.looped
            or text.average_log_probability < _UNSURE_LOG_PROBABILITY
            or compression_ratio(self._tokenizer(language).decode(text.tokens)) > _LOOPING_COMPRESSION
        )

    def _align(self, text: _Text, encoded: Encoded, language: str, duration_s: float) -> list[dict[str, Any]]:
        """Times and probabilities of the words; the silence behind the window would only cost here."""
        tokenizer = self._tokenizer(language)
        tokens = [token for token in text.tokens if token < tokenizer.eot]
        if not tokens:
            return []
        frames = max(2, round(duration_s * 2 * POSITIONS_PER_S))
        (words,) = self._whisper.find_alignment(tokenizer, [tokens], encoded.heard, frames)
        merge_punctuations(words, _PREPENDED, _APPENDED)
        return [word for word in words if word["word"].strip()]


def _for_prefixes(model: LocalModel) -> tuple[Path, Prefixes]:
    """The copy that takes prefixes, made at first use; the model itself where there can't be one."""
    copy = ModelStore().cache_dir / "models" / f"reordered-{ORDER_VERSION}-{model.sha256[:12]}"
    try:
        prefixes = reordered(model.path, copy)
    except OSError as error:
        _log.warning("all words are decoded each time, since %s can't be written: %s", copy, error.strerror)
        return model.path, Prefixes()
    return (copy, prefixes) if prefixes.ends else (model.path, prefixes)

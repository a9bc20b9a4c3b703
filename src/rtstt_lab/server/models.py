"""The models of one server: loaded once, off the event loop; shared by all sessions; unloaded when idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from rtstt_lab.recognition.models import LocalModel, ModelStore, Progress, check_language
from rtstt_lab.recognition.whisper import DecoderOptions, WhisperDecoder
from rtstt_lab.server import heap

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Loaded:
    decoder: WhisperDecoder
    users: int = 0
    idle_since_s: float = 0.0


class ModelPool:
    """Lends models to sessions.

    Args:
        store: finds the weights.
        options: how each is loaded.
        clock: monotonic seconds.
    """

    def __init__(self, store: ModelStore, options: DecoderOptions, clock: Callable[[], float]) -> None:
        self._store = store
        self._options = options
        self._clock = clock
        self._loaded: dict[str, _Loaded] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def names(self) -> list[str]:
        """Those in memory."""
        return sorted(self._loaded)

    async def borrow(
        self, name: str, language: str | None = None, *, progress: Progress | None = None
    ) -> WhisperDecoder:
        """A warm model; `give_back` it with the same name.

        Args:
            name: as `ModelStore.resolve` takes it.
            language: that it is going to be used for; checked before anything is loaded.
            progress: of joining and hashing its weights, called on another thread.

        Raises:
            ModelError: it cannot be had or loaded.
            LanguageError: it doesn't know the language.
            StorageError: the cache folder can't be written.
        """
        if name not in self._loaded:
            async with self._one_at_a_time:
                if name not in self._loaded:
                    model = await asyncio.to_thread(self._store.resolve, name, progress=progress)
                    check_language(model, language)
                    decoder = await asyncio.to_thread(self._load, model)
                    self._loaded[name] = _Loaded(decoder, idle_since_s=self._clock())
        loaded = self._loaded[name]
        check_language(loaded.decoder.model, language)
        loaded.users += 1
        return loaded.decoder

    def give_back(self, name: str) -> None:
        """Ends a loan; the model stays in memory until `release_idle`."""
        loaded = self._loaded[name]
        loaded.users -= 1
        loaded.idle_since_s = self._clock()

    def release_idle(self, idle_s: float) -> int:
        """Unloads what nobody has used for so long.

        Returns:
            How many models.
        """
        limit_s = self._clock() - idle_s
        idle = [name for name, m in self._loaded.items() if not m.users and m.idle_since_s <= limit_s]
        for name in idle:
            del self._loaded[name]
            log.info("unloaded model %s", name)
        return len(idle)

    def _load(self, model: LocalModel) -> WhisperDecoder:
        decoder = WhisperDecoder.load(model, self._options)
        decoder.warm_up()
        heap.trim()  # weights are read as they lie in the file and then converted: twice their size, once
        log.info("loaded model %s (%s, %s)", model.name, decoder.device, decoder.compute_type)
        return decoder

"""The server's folder of transcripts, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from rtstt_lab.errors import StorageError
from rtstt_lab.transcript import Transcript, TranscriptHeader, history, remove, render, save, supersede

log = logging.getLogger(__name__)


class Transcripts:
    """Writes, reads and deletes what sessions leave behind.

    Args:
        folder: made with the first transcript.
        language_ui: of the headings, ``en`` or ``es``.
    """

    def __init__(self, folder: Path, language_ui: str) -> None:
        self._folder = folder
        self._language_ui = language_ui
        self._rendering = asyncio.Lock()

    def save(self, transcript: Transcript) -> Path:
        """Writes a transcript; an earlier one of the same session goes. Waits for the disk.

        Raises:
            StorageError: it can't be written.
        """
        file = save(transcript, self._folder, self._language_ui)
        supersede(file, transcript.session_id)
        return file

    async def try_to_save(self, transcript: Transcript) -> list[str]:
        """Writes one whose session can't wait any longer.

        Returns:
            The file; none where it can't be written, which is logged.
        """
        try:
            return [str(await asyncio.to_thread(self.save, transcript))]
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the message says it all
            return []

    async def render(self, transcript: Transcript, format: str) -> str:  # noqa: A002 - as in REST
        """One of the five forms; of an hour's transcript that takes a quarter of a second."""
        async with self._rendering:
            return await asyncio.to_thread(render, transcript, format, self._language_ui)

    async def read(self, file: str) -> str:
        """A saved text.

        Raises:
            StorageError: it can't be read.
        """
        try:
            return await asyncio.to_thread(Path(file).read_text, "utf-8")
        except OSError as error:
            raise StorageError("transcript_unreadable", path=file, reason=error.strerror or error) from error

    async def remove(self, file: str) -> None:
        """Deletes one.

        Raises:
            StorageError: it can't be deleted.
        """
        await asyncio.to_thread(remove, Path(file))

    async def history(self) -> list[TranscriptHeader]:
        """The saved ones, newest first.

        Raises:
            StorageError: the folder can't be read.
        """
        return await asyncio.to_thread(history, self._folder)

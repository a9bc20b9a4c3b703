"""What takes long of long sessions is done beside the event loop, and one after the other."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from rtstt_lab.server import journal, past, transcripts
from rtstt_lab.transcript import FORMATS

from . import left
from .open_sessions import API, serving


class Watched:
    """Calls of a function: on which threads, and how many at once."""

    def __init__(self, module, name, monkeypatch):
        self._real = getattr(module, name)
        self.threads = []
        self.inside = self.most = 0
        monkeypatch.setattr(module, name, self._call)

    def _call(self, *args, **more):
        self.threads.append(threading.current_thread())
        with self._counted():
            return self._real(*args, **more)

    @contextmanager
    def _counted(self):
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            self.inside -= 1

    def was_beside(self, calls):
        """Whether there were so many calls, none of them on this thread, and never two at once."""
        beside = threading.current_thread() not in self.threads
        return (len(self.threads), beside, self.most) == (calls, True, 1)


@pytest.mark.requirement("L4", "O3")
async def test_journals_are_read_beside_the_loop(tmp_path, monkeypatch):
    """Six sessions that come back at once, and what is asked of six that have not."""
    sessions = [left.session(tmp_path / ".rtstt_journal") for _ in range(12)]
    async with serving(tmp_path, max_sessions=6) as registry:
        asked = Watched(past, "recover", monkeypatch)
        reopened = Watched(journal, "recover", monkeypatch)
        await asyncio.gather(*map(registry.host_or_reopen, sessions[:6]))
        assert reopened.was_beside(6)
        found = await asyncio.gather(*map(registry.events, sessions[6:]))
        assert {len(frames) for frames in found} == {2}
        assert asked.was_beside(6)


@pytest.mark.requirement("L4", "O3")
async def test_transcripts_are_written_out_beside_the_loop(tmp_path, monkeypatch):
    """Every form, of a live session and of one that waits for its client."""
    live, waiting = (left.session(tmp_path / ".rtstt_journal") for _ in range(2))
    async with serving(tmp_path) as registry:
        await registry.host_or_reopen(live)
        rendered = Watched(transcripts, "render", monkeypatch)
        texts = await asyncio.gather(
            *(registry.transcript(session, API, kind) for session in (live, waiting) for kind in FORMATS)
        )
        assert all("laboratory" in text for text in texts)
        assert rendered.was_beside(2 * len(FORMATS))

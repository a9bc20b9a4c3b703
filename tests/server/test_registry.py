"""What the sessions of one server share, and what is left of them."""

from __future__ import annotations

import gc
import weakref

import pytest

from rtstt_lab.errors import LanguageError, ModelNotFoundError
from rtstt_lab.protocol.messages import CreateSession
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.recognition.whisper import DecoderOptions
from rtstt_lab.server.models import ModelPool
from rtstt_lab.server.registry import SessionRegistry
from rtstt_lab.server.settings import ServerSettings


@pytest.mark.requirement("S2", "L5", "O3")
async def test_a_finished_session_leaves_nothing_behind(tmp_path):
    """Once a session is over audio and model state are gone at once, the rest with the next collection."""
    registry = SessionRegistry(ServerSettings(api_token="t" * 32, output=tmp_path, model="tiny.en"))
    await registry.start()
    made = await registry.create(CreateSession())
    host = registry.host(made.session_id)
    heavy = [weakref.ref(one) for one in (host, host.engine, host._lane.worker)]
    conversation = weakref.ref(host.session)
    gc.collect()
    gc.disable()
    try:
        del host
        await registry.delete(made.session_id, "t" * 32, file=False)
        await registry.close()
        assert [ref() for ref in heavy] == [None] * 3
    finally:
        gc.enable()
    gc.collect()
    assert conversation() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.requirement("O2", "O3", "A2")
async def test_models_are_shared_and_unloaded_when_idle():
    """A model is loaded once for all who ask; unloaded only when nobody has used it for so long."""
    now = 0.0
    pool = ModelPool(ModelStore(), DecoderOptions(workers=1), lambda: now)
    first = await pool.borrow("tiny.en")
    assert await pool.borrow("tiny.en", "en") is first
    pool.give_back("tiny.en")
    now = 100.0
    assert pool.release_idle(10) == 0
    pool.give_back("tiny.en")
    assert pool.release_idle(10) == 0
    now = 110.0
    assert pool.release_idle(10) == 1
    assert pool.names == []
    with pytest.raises(LanguageError):
        await pool.borrow("tiny.en", "es")
    with pytest.raises(ModelNotFoundError):
        await pool.borrow("no-such-model")
    assert pool.names == []

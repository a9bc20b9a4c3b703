"""The whole way, with a real model and real sockets."""

from __future__ import annotations

from rtstt_lab.lab.bench.figures import Clip
from rtstt_lab.lab.bench.server import ServerSystem
from rtstt_lab.replay.corpus import Corpus, load_audio
from rtstt_lab.types import SAMPLE_RATE_HZ


def test_a_server_is_measured_from_outside() -> None:
    """Words come back with their times; CPU seconds and memory are the server's."""
    recording = Corpus.shipped("en")["en_beckett"]
    with ServerSystem.started("tiny.en", chunk_ms=250) as system:
        heard = system.hear(load_audio(recording)[: 4 * SAMPLE_RATE_HZ], "en")
    clip = Clip(recording, heard)
    assert clip.text.lower().startswith("ever tried")
    assert len(clip.tables["chunks"]) == 16
    assert (clip.tables["words"]["emitted_s"] > clip.tables["words"]["end_s"]).all()
    assert heard.cpu_s > 0.05
    assert heard.rss_mb > 50

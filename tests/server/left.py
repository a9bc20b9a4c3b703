"""What a killed server leaves behind: journals, written as it would have written them."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import uuid4

from rtstt_lab.engine.journal import (
    EventRecord,
    MarkRecord,
    PagesRecord,
    PhaseRecord,
    SessionRecord,
    TokenRecord,
)
from rtstt_lab.protocol import messages as wire
from rtstt_lab.protocol.lifecycle import Phase
from rtstt_lab.protocol.server_parts import token_hash
from rtstt_lab.protocol.server_state import IntakeState
from rtstt_lab.server.journal import JournalFolder

TOKEN = "the-token-of-one-session"
PAGE = "https://lab.example.org"
SAID = " Welcome to the laboratory."
CHUNKS = 8
CHUNK_MS = 250


def session(path, *, said=SAID, file=None, written_s=None, model="tiny.en"):
    """A session that was recording; two seconds of it are disposed of.

    Args:
        path: folder of the journals.
        said: the words of its one final; nothing if empty.
        file: where its transcript lies, if it was completed.
        written_s: when that was (Unix time); now by default.
        model: of the session.
    """
    session_id = str(uuid4())
    end_ms = CHUNKS * CHUNK_MS
    journal = JournalFolder(path).create(session_id)
    journal.append(
        SessionRecord(session_id, model, datetime.now().astimezone(), "en", metadata={"who": "left"})
    )
    journal.append(TokenRecord((token_hash(TOKEN),)))
    journal.append(PagesRecord((PAGE,)))
    if said:
        words = said.split()
        step_ms = (end_ms - 200) // len(words)
        final = wire.TranscriptionFinal(
            0,
            said.strip(),
            tuple(
                wire.WireWord(f" {word}", 100 + n * step_ms, 80 + (n + 1) * step_ms, 0.9)
                for n, word in enumerate(words)
            ),
            confidence=0.9,
            language="en",
            audio_end_ms=end_ms,
            event=2,
        )
        journal.append(EventRecord(wire.encode(wire.Status("recording", "recording", event=1))))
        journal.append(PhaseRecord(Phase.RECORDING, controls=1, at_seq=0))
        journal.append(EventRecord(wire.encode(final)))
        below = IntakeState(
            next_seq=CHUNKS,
            received=wire.Received(accepted=CHUNKS),
            audio_ms=end_ms,
            captured_ms=end_ms,
            stream=0,
            mime="audio/pcm;rate=16000",
        )
        journal.append(MarkRecord(CHUNKS, CHUNKS, end_ms / 1000, end_ms / 1000, below=below))
    if file is not None:
        summary = wire.Summary(
            duration_s=end_ms / 1000,
            words=4,
            confidence=0.9,
            latency=None,
            received=wire.Received(accepted=CHUNKS),
            file=str(file),
            complete=True,
            language="en",
        )
        journal.append(PhaseRecord(Phase.COMPLETED, controls=2, at_seq=CHUNKS))
        journal.append(EventRecord(wire.encode(wire.SessionCompleted(summary, event=3))))
    journal.close()
    if written_s is not None:
        os.utime(path / f"{session_id}.jsonl", (written_s, written_s))
    return session_id

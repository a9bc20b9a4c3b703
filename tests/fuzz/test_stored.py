"""Files that were damaged, cut off or written by others: refused as the house refuses, or passed over."""

from __future__ import annotations

import zlib
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.server import left

from rtstt_lab.engine.journal import recover
from rtstt_lab.errors import CorpusError, StorageError
from rtstt_lab.replay.corpus import Corpus
from rtstt_lab.replay.registry import load_registry
from rtstt_lab.server.journal import JournalFolder
from rtstt_lab.server.past import SuspendedSessions
from rtstt_lab.transcript import Transcript, history, render, save

from .mutations import mutated, mutated_json, rng_of

YEARS_S = 4e9
few_or_many = pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(400, id="few"),
        pytest.param(5_000, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)


def sealed(line: bytes) -> bytes:
    """A journal's line with the right checksum, whatever it says."""
    return b"%08x %s\n" % (zlib.crc32(line), line)


def damaged(journal: bytes, rng) -> bytes:
    """A journal after a few changes: of its bytes, or of what its records say."""
    if rng.random() < 0.5:
        return mutated([journal], rng)
    lines = [line[9:] for line in journal.splitlines()]
    for at in rng.sample(range(len(lines)), rng.randint(1, 2)):
        if rng.random() < 0.8:
            lines[at] = mutated_json(lines[at], rng).encode("utf-8", "surrogatepass")
        else:
            lines[at] = mutated(lines, rng).replace(b"\n", b" ")
    if rng.random() < 0.2:
        del lines[rng.randint(1, len(lines)) :]
    return b"".join(map(sealed, lines))


@pytest.mark.requirement("S1", "R1")
@few_or_many
async def test_no_journal_keeps_a_server_from_starting(tmp_path, inputs):
    """A damaged journal is read as far as it is whole, or refused; the others beside it are taken up."""
    young, old = tmp_path / "young", tmp_path / "old"
    good = left.session(young)
    corpus = [(young / f"{good}.jsonl").read_bytes()]
    corpus.append((old / f"{left.session(old, file=old / 't.txt')}.jsonl").read_bytes())
    told = refused = 0
    for number in range(inputs):
        rng = rng_of(number)
        path = rng.choice((young, old)) / f"{uuid4()}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged(rng.choice(corpus), rng))
        with suppress(StorageError):
            recover(JournalFolder(path.parent).read(path.stem))
            told += 1
        if number % 20 == 0:
            await past(old, YEARS_S).refresh()
            present = past(young, 0.0)
            await present.refresh()
            assert present.get(good) is not None
            for other in young.glob("*.jsonl"):
                if other.stem != good:
                    other.unlink()
    refused = inputs - told
    assert 0 < refused < inputs
    assert len(list(old.glob("*.jsonl"))) < 20  # a day is enough


def past(folder, now_s):
    """The sessions of a folder, at a time; what is too old is saved nowhere."""
    return SuspendedSessions(JournalFolder(folder), render_all, clock=lambda: 0.0, wall=lambda: now_s)


def render_all(transcript):
    for form in ("txt", "json", "srt", "vtt", "csv"):
        render(transcript, form)
    return "file.txt"


@pytest.mark.requirement("S1", "D3")
@few_or_many
def test_no_transcript_hides_the_others(tmp_path, inputs):
    """What lies in the folder of transcripts and is none is passed over; the history is told all the same."""
    transcript = Transcript(
        "s", datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC), (), 2.0, 0.4, "base", "en", complete=True
    )
    good = save(transcript, tmp_path)
    text = good.read_bytes()
    time = next(line for line in text.splitlines() if b"2026-03-04 " in line).partition(b": ")[2]
    times = [b"2026-03-04T15:06:07", b"0001-01-01T00:00:00", b"9999-12-31T23:59:59-23:59", b"2026-03-04"]
    for number in range(inputs):
        rng = rng_of(number)
        data = mutated([text], rng)
        if rng.random() < 0.5:
            data = text.replace(time, rng.choice(times))
        (tmp_path / f"transcripcion_20260304_1507{number % 10:02d}.txt").write_bytes(data)
        assert good in [header.file for header in history(tmp_path)]


@pytest.mark.requirement("S1")
@few_or_many
def test_no_manifest_breaks_a_corpus(tmp_path, root, inputs):
    """A manifest or registry that is none is refused, and says why."""
    (tmp_path / "a.flac").write_bytes(b"")
    row = b"a,a.flac,en,some words,1.5,CC0,here,someone,read"
    head = b"id,file,language,reference,duration_s,licence,source,speaker,category"
    manifests = [b"\n".join((head, row)), b"\r\n".join((head, row, b'"b","a.flac",es,"",2,,,,'))]
    manifest = tmp_path / "manifest.csv"
    registry = next((root / "data/corpora").glob("*.json")).read_bytes()
    refused = 0
    for number in range(inputs):
        rng = rng_of(number)
        manifest.write_bytes(mutated(manifests, rng))
        with suppress(CorpusError):
            Corpus.folder(tmp_path)
            refused -= 1
        refused += 1
        text = (
            mutated_json(registry, rng) if rng.random() < 0.5 else mutated([registry], rng).decode("latin-1")
        )
        (tmp_path / "registry.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        with suppress(CorpusError):
            load_registry(tmp_path)
    assert 0 < refused < inputs

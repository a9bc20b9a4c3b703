"""One session of an hour: speech in real time, until the session's own limit ends it.

``python -m benchmarks.hour --manifest FILE.csv --shortest 20 --json hour.json --table docs/benchmarks.md``

The recordings of one language are played one after the other, again and again, through a server and its
WebSocket. Nobody presses stop: the session has to warn, to end and to save by itself (E3).
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.hour.figures import markdown, report, signature
from benchmarks.hour.playing import LIMIT_S, Plan, play
from rtstt_lab.lab.bench.report import write_between
from rtstt_lab.lab.bench.selection import kind_of
from rtstt_lab.recognition.models import ModelStore
from rtstt_lab.records import write_atomically
from rtstt_lab.replay.corpus import Corpus

_MARK: Final = "benchmarks/hour"


def main() -> None:
    """Measures, writes the JSON and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, help="default: RTSTT_CORPUS, else the shipped recordings")
    parser.add_argument("--language", default="en")
    parser.add_argument(
        "--shortest", type=float, default=0.0, help="seconds; shorter recordings are left out"
    )
    parser.add_argument("--model", default="base")
    parser.add_argument("--limit", type=int, default=LIMIT_S, help="seconds of the session")
    parser.add_argument("--json", type=Path, required=True, help="the report")
    parser.add_argument("--table", type=Path, help="a file with this benchmark's markers")
    asked = parser.parse_args()
    corpus = Corpus.folder(asked.manifest) if asked.manifest else Corpus.from_environment(os.environ)
    if corpus is None:
        corpus = Corpus.shipped()
    speech = Corpus(
        each
        for each in corpus.filter(language=asked.language)
        if kind_of(each) == "speech" and each.duration_s >= asked.shortest
    )
    plan = Plan(speech, ModelStore().resolve(asked.model), asked.language, asked.limit)
    measured = report(play(plan)) | {"signature": asdict(signature(plan))}
    write_atomically(asked.json, json.dumps(measured, ensure_ascii=False, indent=2) + "\n")
    if asked.table:
        write_between(asked.table, f"<!-- {_MARK} -->", f"<!-- /{_MARK} -->", markdown(measured))


if __name__ == "__main__":
    main()

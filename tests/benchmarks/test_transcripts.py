"""What peers say, read from messages as they sent them, and where their words are placed."""

from __future__ import annotations

import pandas as pd
import pytest
from benchmarks.peers.peer import Peer
from benchmarks.peers.realtimestt import REALTIMESTT
from benchmarks.peers.transcripts import Heard, Said, events_of, placed, settled
from benchmarks.peers.whisper_live import WHISPER_LIVE
from benchmarks.peers.whisper_streaming import WHISPER_STREAMING
from benchmarks.peers.whisperflow import WHISPERFLOW
from benchmarks.peers.whisperlivekit import LOCAL_AGREEMENT

from rtstt_lab.analysis.metrics import unstable_ratio, word_latencies
from rtstt_lab.records import tables_of

REFERENCE = pd.DataFrame(
    {"word": ["one", "house", "one", "fell"], "start_s": [0, 1, 2, 3], "end_s": [0.5, 1.5, 2.5, 3.5]}
)


def segment(text: str, *, completed: bool, start: str = "0.000") -> dict[str, object]:
    return {"start": start, "end": "1.000", "text": text, "completed": completed}


@pytest.mark.parametrize(
    ("peer", "messages", "expected"),
    [
        (
            WHISPER_LIVE,
            [
                {"message": "SERVER_READY"},
                {"segments": [segment(" One house", completed=False)]},
                {
                    "segments": [
                        segment(" One house.", completed=True),
                        segment(" fell", completed=False, start="1.0"),
                    ]
                },
                {
                    "segments": [
                        segment(" One house.", completed=True),
                        segment(" fell.", completed=True, start="1.0"),
                    ]
                },
            ],
            [Said(pending=("One", "house")), Said(("One", "house."), ("fell",)), Said(("fell.",))],
        ),
        (
            LOCAL_AGREEMENT,
            [
                {"type": "config"},
                {"lines": [], "buffer_transcription": " One house"},
                {"lines": [{"text": " One"}], "buffer_transcription": " house"},
                {"lines": [{"text": " One hou"}, {"text": None}], "buffer_transcription": ""},
                {"lines": [{"text": " One house."}, {"text": None}], "buffer_transcription": ""},
                {"type": "ready_to_stop"},
            ],
            [
                Said(pending=("One", "house")),
                Said(("One",), ("house",)),
                Said(pending=("hou",)),
                Said(("house.",)),
            ],
        ),
        (
            REALTIMESTT,
            [
                {"shown": "One", "utterance": 1},
                {"shown": "fell", "utterance": 2},
                {"final": "One house.", "utterance": 1},
                {"shown": "late", "utterance": 1},
                {"final": "fell.", "utterance": 2},
            ],
            [
                Said(pending=("One",)),
                Said(pending=("One", "fell")),
                Said(("One", "house."), ("fell",)),
                Said(("fell.",)),
            ],
        ),
        (
            WHISPER_STREAMING,
            [{"final": " One house"}, {"final": " fell."}],
            [Said(("One", "house")), Said(("fell.",))],
        ),
        (
            WHISPERFLOW,
            [
                {"is_partial": True, "data": {"text": " One house"}},
                {"is_partial": False, "data": {"text": " One house fell."}},
            ],
            [Said(pending=("One", "house")), Said(("One", "house", "fell."))],
        ),
    ],
)
def test_each_peers_messages_are_read_as_its_module_says(
    peer: Peer, messages: list[dict[str, object]], expected: list[Said]
) -> None:
    """Committed words come once, in order; pending ones replace those of before."""
    assert [said for said in peer.reader(messages) if said] == expected


def test_words_are_placed_on_the_reference_they_match_in_order() -> None:
    """A repeated word takes its own occurrence, an unknown one lies between its neighbours."""
    heard = [
        Heard(1.8, 1.75, Said(pending=("One", "house"))),
        Heard(2.9, 2.75, Said(("One", "House,"), ("one",))),
        Heard(4.2, 4.0, Said(("one", "really", "fell."))),
    ]
    events = placed(list(events_of(heard)), REFERENCE)
    words = tables_of(events)["words"]
    assert list(words["start_s"]) == pytest.approx([0, 1, 2, 2.5, 3])
    final = word_latencies(words, reference=REFERENCE)["latency_s"]
    assert list(final) == pytest.approx([2.9 - 0.5, 2.9 - 1.5, 4.2 - 2.5, 4.2 - 3.5])
    shown = word_latencies(words, reading="shown", reference=REFERENCE)["latency_s"]
    assert list(shown) == pytest.approx([1.8 - 0.5, 1.8 - 1.5, 2.9 - 2.5, 4.2 - 3.5])


def test_a_word_is_not_shown_before_it_was_spoken() -> None:
    """An early guess of a later word is matched with nothing that had not begun."""
    heard = [
        Heard(0.9, 0.75, Said(pending=("fell",))),
        Heard(4.0, 4.0, Said(("one", "house", "one", "fell"))),
    ]
    words = tables_of(placed(list(events_of(heard)), REFERENCE))["words"]
    assert list(words["shown_s"]) == [4.0] * 4


def test_what_was_left_pending_counts_as_committed_by_the_message_that_brought_it() -> None:
    """The last view of a peer that never says that it is done stands."""
    heard = settled([Heard(1.0, 1.0, Said(("one",))), Heard(2.0, 2.0, Said(pending=("house",)))])
    views = tables_of(events_of(heard))["partials"]
    assert [(row.kind, row.emitted_s) for row in views.itertuples()] == [("final", 1.0), ("final", 2.0)]


def test_the_same_view_again_is_no_new_one_and_a_changed_word_counts() -> None:
    """Resent states add nothing; one of two final words was shown otherwise."""
    heard = [
        Heard(1.0, 1.0, Said(pending=("one", "horse"))),
        Heard(1.1, 1.0, Said(pending=("one", "horse"))),
        Heard(2.0, 2.0, Said(("one",), ("house",))),
        Heard(3.0, 3.0, Said(("house",))),
    ]
    views = tables_of(events_of(heard))["partials"]
    assert len(views) == 4
    assert unstable_ratio(views) == pytest.approx(0.5)

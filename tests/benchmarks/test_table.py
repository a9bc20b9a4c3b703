"""The peers' table, and which peers there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from benchmarks.peers import table
from benchmarks.peers.environments import Environment
from benchmarks.peers.known import PEERS, chosen

from rtstt_lab.lab.bench.report import write_between

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def system(wer: float, mean_s: float, **about: Any) -> dict[str, Any]:
    latency = {"mean": mean_s, "p50": mean_s, "p95": 2 * mean_s, "n": 40}
    own = {
        "wer": wer,
        "final_latency_s": latency,
        "first_shown_latency_s": latency,
        "end_latency_s": mean_s,
        "worst_gap_s": mean_s,
        "unstable_ratio": 0.1,
        "cpu_per_audio_s": 1.0,
        "failures": 0,
        "utterances": 3,
    }
    whole = {"rss_mb": 400.0, "hallucinated_words": 0, "settings": {}, "version": "1.0", **about}
    return {**own, **whole, "by_language": {"en": own}}


def report() -> dict[str, Any]:
    other = {"title": "Other", "settings": {"beam": 5}}
    return {
        "systems": {
            "offline": system(0.02, 9.0, title="offline"),
            "rtstt_lab": system(0.02, 1.0, title="rtstt_lab"),
            "other/default": system(0.020, 4.0, configuration="default", **other),
            "other/quick": system(0.024, 3.0, configuration="quick", **other),
            "other/hasty": system(0.060, 0.5, configuration="hasty", **other),
        },
        "ratios": {"other/quick": {"by_language": {"en": {"cpu_all": 7.5, "cpu": None}}}},
        "failures": [],
        "unavailable": {"third": "needs a hub"},
        "signature": {"corpus": "3 recordings"},
    }


def test_the_better_configuration_is_shown_and_every_reason_given(tmp_path: Path) -> None:
    """Lower latency wins among those that recognise as well; what could not run is there with its reason."""
    path = tmp_path / "page.md"
    path.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", "utf-8")
    write_between(path, table.BEGIN, table.END, table.markdown(report()))
    text = path.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| Other")]
    assert len(rows) == 1
    assert "3.00 s" in rows[0]
    assert "7.50" in rows[0]
    assert "- third: needs a hub" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_the_document_has_the_tables_place() -> None:
    """`make bench-peers` can write where its documentation says."""
    text = DOCUMENT.read_text("utf-8")
    assert text.index(table.BEGIN) < text.index(table.END)


def test_peers_are_chosen_by_name_and_configuration() -> None:
    """A name alone is all of its configurations; an unknown one is refused."""
    key, peer = next(iter(PEERS.items()))
    assert [name for *_, name in chosen([key])] == list(peer.configurations)
    assert [name for *_, name in chosen([f"{key}/default"])] == ["default"]
    assert {key for key, *_ in chosen(None)} == set(PEERS)
    with pytest.raises(click.BadParameter):
        chosen(["nobody"])


@pytest.mark.parametrize("key", PEERS)
def test_every_peer_is_pinned(key: str, tmp_path: Path) -> None:
    """Its requirements name every package with a version, its own among them."""
    environment = Environment(PEERS[key].environment, tmp_path)
    lines = [line for line in environment.requirements.read_text("utf-8").splitlines() if line[:1] != "#"]
    assert all("==" in line and "+" not in line for line in lines)
    assert environment.version(PEERS[key].package)

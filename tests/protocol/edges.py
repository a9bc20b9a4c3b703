"""The edges of requirement L1, written out."""

from __future__ import annotations

EDGES = {
    ("connecting", "connected"),
    ("connecting", "error"),
    ("connecting", "recording"),
    ("connecting", "paused"),
    ("connecting", "finalizing"),
    ("connecting", "completed"),
    ("connected", "recording"),
    ("connected", "error"),
    ("connected", "reconnecting"),
    ("connected", "finalizing"),
    ("recording", "paused"),
    ("recording", "reconnecting"),
    ("recording", "finalizing"),
    ("recording", "error"),
    ("paused", "recording"),
    ("paused", "reconnecting"),
    ("paused", "finalizing"),
    ("paused", "error"),
    ("reconnecting", "connected"),
    ("reconnecting", "recording"),
    ("reconnecting", "paused"),
    ("reconnecting", "finalizing"),
    ("reconnecting", "completed"),
    ("reconnecting", "error"),
    ("finalizing", "completed"),
    ("finalizing", "error"),
    ("error", "connecting"),
}

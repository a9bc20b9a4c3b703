"""Servers that do not hear what recorders write as it is meant: WebM and Ogg."""

from __future__ import annotations

from rtstt_lab.audio import stream
from rtstt_lab.engine.worker import SessionWorker

from .breaking import broken


@broken("R1.damaged_container R1.undecodable", "R1.damaged_container", long=True)
def what_is_missing_in_a_container_takes_no_time(patch):
    patch(stream, "_GAP_S", dict.fromkeys(stream._GAP_S, 100.0))


@broken("R3.container_goes_on R3.resume", "R3.container_goes_on", long=True)
def a_new_recorder_is_taken_for_the_old_one(patch):
    fresh = SessionWorker._decoder_of
    patch(SessionWorker, "_decoder_of", lambda self, chunk: self._decoder or fresh(self, chunk))

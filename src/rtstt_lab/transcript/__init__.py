"""What a session leaves behind: its text in five forms, one writer for all, and the history."""

from rtstt_lab.transcript.model import Transcript
from rtstt_lab.transcript.render import FORMATS, render
from rtstt_lab.transcript.store import TranscriptHeader, history, remove, save, supersede

__all__ = ["FORMATS", "Transcript", "TranscriptHeader", "history", "remove", "render", "save", "supersede"]

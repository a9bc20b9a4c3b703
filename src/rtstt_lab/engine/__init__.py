"""One session's logic without threads, sockets or a clock, and the worker that hears for it."""

from rtstt_lab.engine.session import SessionEngine
from rtstt_lab.engine.settings import EngineSettings
from rtstt_lab.engine.status import SessionStatus, Stage
from rtstt_lab.engine.worker import SessionWorker

__all__ = ["EngineSettings", "SessionEngine", "SessionStatus", "SessionWorker", "Stage"]

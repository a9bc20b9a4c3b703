"""What computing costs: this process's CPU seconds, its memory, and how long a decode keeps a core."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import psutil


class Meter:
    """Reads this process's clocks.

    Args:
        device: that the model runs on, ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str) -> None:
        self._process = psutil.Process()
        self.busy_s = time.process_time if device == "cpu" else time.perf_counter
        """Seconds that computing takes when nobody else wants the core.

        A decode on the CPU runs on one thread: its CPU seconds are what it would take on an idle core,
        however busy this machine is. On a GPU the CPU waits, and the clock on the wall is read.
        """

    def cpu_s(self) -> float:
        """CPU seconds of all threads so far."""
        return time.process_time()

    def rss_mb(self) -> float:
        """Resident memory now."""
        return self._process.memory_info().rss / 1e6


def tree_rss_mb(pid: int | None) -> float:
    """Resident memory of a process and all below it; NaN when it is gone."""
    total = math.nan
    with suppress(psutil.Error):
        root = psutil.Process(pid) if pid else None
        for process in (root, *root.children(recursive=True)) if root else ():
            total = process.memory_info().rss / 1e6 + (0.0 if math.isnan(total) else total)
    return total


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and all below it, those that have ended and were waited for included."""
    total_s = 0.0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):  # one that ended meanwhile
                times = process.cpu_times()
                total_s += times.user + times.system + times.children_user + times.children_system
    return total_s

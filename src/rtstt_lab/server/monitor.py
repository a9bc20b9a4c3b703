"""What the machine has left: CPU and memory of the process tree, RAM of host or container, the GPU (M2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final as Constant

import psutil
import pynvml

from rtstt_lab.engine.effects import ResourceSample

_MB: Constant = 1 << 20
_CGROUP: Constant = Path("/sys/fs/cgroup")

log = logging.getLogger(__name__)


def ram_available_bytes(cgroup: Path = _CGROUP) -> int:
    """What can still be allocated: of the host, or of the container if that is less.

    A container's page cache that is not in use counts as available, as in the kernel's own ``MemAvailable``.

    Args:
        cgroup: where the control group's files lie (version 2 directly, version 1 under ``memory``).
    """
    host = int(psutil.virtual_memory().available)
    for limit_name, used_name, cache_name, folder in (
        ("memory.max", "memory.current", "inactive_file", cgroup),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", cgroup / "memory"),
    ):
        with suppress(OSError, ValueError):  # no container, no limit ("max"), or no such controller
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            return min(host, max(0, limit - used + _field(folder / "memory.stat", cache_name)))
    return host


def _field(file: Path, name: str) -> int:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


class ResourceMonitor:
    """Takes samples of one process tree; each CPU percentage is over the time since the sample before.

    Args:
        clock: monotonic seconds.
        pid: root of the tree; this process by default.
    """

    def __init__(self, clock: Callable[[], float], pid: int | None = None) -> None:
        self._clock = clock
        self._process = psutil.Process(pid)
        self._gpu = _Gpu()
        self._last = (clock(), self._tree()[0])

    def sample(self) -> ResourceSample:
        """One look, a millisecond or so."""
        now = self._clock()
        cpu_s, rss_bytes = self._tree()
        before, cpu_before_s = self._last
        self._last = now, cpu_s
        elapsed_s = now - before
        return ResourceSample(
            cpu_percent=max(0.0, 100 * (cpu_s - cpu_before_s) / elapsed_s) if elapsed_s > 0 else 0.0,
            process_cpu_s=cpu_s,
            rss_mb=rss_bytes / _MB,
            ram_available_mb=ram_available_bytes() / _MB,
            gpu=self._gpu.name,
            gpu_percent=self._gpu.percent(),
        )

    def _tree(self) -> tuple[float, int]:
        """CPU seconds and resident bytes of the process and all below it."""
        cpu_s, rss_bytes = 0.0, 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error), process.oneshot():  # one that ended meanwhile
                times = process.cpu_times()
                cpu_s += times.user + times.system
                rss_bytes += process.memory_info().rss
        return cpu_s, rss_bytes


class _Gpu:
    """The first NVIDIA GPU, if the driver says that there is one."""

    def __init__(self) -> None:
        self.name = ""
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            self.name = str(pynvml.nvmlDeviceGetName(self._handle))
        except pynvml.NVMLError as error:
            log.debug("no GPU: %s", error)

    def percent(self) -> float | None:
        """Its use over the driver's last interval."""
        if not self.name:
            return None
        try:
            return float(pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except pynvml.NVMLError:
            return None

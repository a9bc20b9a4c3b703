"""The server's figures for Prometheus."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from rtstt_lab.engine.effects import ResourceSample


class Telemetry:
    """One collection of metrics a server; nothing global."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._sessions = self._gauge("rtstt_sessions", "Sessions that are open.")
        self._cpu = self._gauge("rtstt_cpu_percent", "CPU of the process tree, 100 a core.")
        self._cpu_s = self._gauge("rtstt_process_cpu_seconds", "CPU time of the process tree.")
        self._rss = self._gauge("rtstt_resident_megabytes", "Resident memory of the process tree.")
        self._ram = self._gauge("rtstt_ram_available_megabytes", "What host or container have left.")
        self._tasks = self._gauge("rtstt_tasks", "Tasks of the event loop, this request's included.")
        self._created = Counter(
            "rtstt_sessions_created", "Sessions made since the start.", registry=self._registry
        )
        self._ended = Counter(
            "rtstt_sessions_ended", "Sessions that ended, by phase.", ["phase"], registry=self._registry
        )

    def created(self) -> None:
        """A session was made."""
        self._created.inc()

    def ended(self, phase: str) -> None:
        """A session ended in this phase."""
        self._ended.labels(phase).inc()

    def sampled(self, sample: ResourceSample, sessions: int) -> None:
        """Takes over a look at the machine."""
        self._sessions.set(sessions)
        self._cpu.set(sample.cpu_percent)
        self._cpu_s.set(sample.process_cpu_s)
        self._rss.set(sample.rss_mb)
        self._ram.set(sample.ram_available_mb)

    def text(self) -> bytes:
        """All of it in Prometheus' text format; to be called on the event loop."""
        self._tasks.set(len(asyncio.all_tasks()))
        return generate_latest(self._registry)

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(name, description, registry=self._registry)

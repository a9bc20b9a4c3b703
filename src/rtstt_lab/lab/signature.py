"""Under which conditions a number was taken: the parts of `Signature` that this machine and package know."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from rtstt_lab.recognition.streaming import RecognizerSettings


def package_version() -> str:
    """Of rtstt-lab, as installed."""
    return version("rtstt-lab")


def machine() -> str:
    """The processor and how many of its cores this process may use."""
    return f"{_processor()}, {_cores()} cores, {platform.system()}"


def policy_of(settings: RecognizerSettings) -> str:
    """The recognizer's settings that move figures, in one line."""
    policy = settings.policy
    return (
        f"LocalAgreement-{policy.agreeing}, hold {policy.hold_s:g}/{policy.unsure_hold_s:g} s, "
        f"every {settings.interval_s:g} s, window {settings.keep_s:g}–{settings.max_window_s:g} s, "
        f"beam {settings.beam_size}/{settings.settle_beam_size}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

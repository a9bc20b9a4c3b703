"""Under which conditions a number was taken: the parts of `Signature` that this machine and package know."""

from __future__ import annotations

import os
import platform
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rtstt_lab.recognition.streaming import RecognizerSettings


def package_version() -> str:
    """Of rtstt-lab, as installed."""
    return version("rtstt-lab")


def machine() -> str:
    """The processor and how many of its cores this process may use."""
    return f"{_processor()}, {cores()} cores, {platform.system()}"


def policy_of(settings: RecognizerSettings) -> str:
    """Every setting of the recognizer in one line: those of two runs that differ give two lines."""
    return "; ".join((_named(settings.policy), _named(settings.endpointing), _values(settings)))


def _named(part: Any) -> str:
    return f"{type(part).__name__}: {_values(part)}"


def _values(part: Any) -> str:
    """Names and plain values of a dataclass, seconds with their unit."""
    values = ((field.name, getattr(part, field.name)) for field in fields(part))
    return ", ".join(_value(name, value) for name, value in values if not is_dataclass(value))


def _value(name: str, value: float | str) -> str:
    number = f"{value:g}" if isinstance(value, float) else str(value)
    title = name.removesuffix("_s").replace("_", " ")
    return f"{title} {number} s" if name.endswith("_s") else f"{title} {number}"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

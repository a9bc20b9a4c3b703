"""The checks, one file a rule."""

from __future__ import annotations

from typing import Final

from rtstt_lab.lab.conformance.checks import Check
from rtstt_lab.lab.conformance.rules import (
    answers,
    frames,
    r01_sequence,
    r02_committed,
    r03_resume,
    r04_absence,
    r05_open,
    r06_offences,
    r07_flow,
    r09_pause,
    r10_blocks,
    r11_clocks,
    r12_bounds,
    rest,
)

CHECKS: Final[tuple[Check, ...]] = (
    answers.REST,
    *rest.CHECKS,
    answers.FRAMES,
    *frames.CHECKS,
    *r01_sequence.CHECKS,
    *r02_committed.CHECKS,
    *r03_resume.CHECKS,
    *r04_absence.CHECKS,
    *r05_open.CHECKS,
    *r06_offences.CHECKS,
    *r07_flow.CHECKS,
    *r09_pause.CHECKS,
    *r10_blocks.CHECKS,
    *r11_clocks.CHECKS,
    *r12_bounds.CHECKS,
)
"""All of them, in the order of the rules."""

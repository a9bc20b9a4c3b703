"""Servers that are broken on purpose: one behaviour of the real one, patched while it runs."""

from __future__ import annotations

import pytest

BROKEN = []


def broken(rules, *failing, long=False, recognition_s=60.0):
    """Declares one: what breaks it, by which rules it is examined, and which checks must fail."""

    def declared(breaks):
        marks = [pytest.mark.long] if long else []
        BROKEN.append(
            pytest.param(breaks, rules.split(), set(failing), recognition_s, id=breaks.__name__, marks=marks)
        )
        return breaks

    return declared

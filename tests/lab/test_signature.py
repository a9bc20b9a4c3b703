"""What a figure's conditions say."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from rtstt_lab.lab.signature import policy_of
from rtstt_lab.recognition.policy import POLICIES
from rtstt_lab.recognition.settings import RecognizerSettings


def changed(part: Any) -> list[Any]:
    """The dataclass with each of its values changed in turn, those of its parts too."""
    values = ((field.name, getattr(part, field.name)) for field in fields(part))
    return [
        replace(part, **{name: other})
        for name, value in values
        for other in (changed(value) if is_dataclass(value) else [value + 1])
    ]


def test_every_setting_is_named() -> None:
    """Settings that differ in any one value, or in their policy, do not have the same line."""
    settings = RecognizerSettings()
    others = [*changed(settings), *(replace(settings, policy=each) for each in POLICIES.values())]
    lines = {policy_of(other) for other in others} | {policy_of(settings)}
    assert len(lines) == len({repr(other) for other in [*others, settings]})
    assert f"patience {settings.policy.patience_s:g} s" in policy_of(settings)

"""What the page decides without a page, and the one file that it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rtstt_lab.notebook.bundle import bundle
from rtstt_lab.texts import LANGUAGES, catalogue


@pytest.mark.requirement("D1", "S3", "O1")
def test_modules_decide_as_documented(root: Path, static: Path, node: Callable[..., str]) -> None:
    """Addresses, buttons, recording types, problems and checksums come out as the specification says."""
    assert node(root / "tests/notebook/check_modules.mjs", static).strip() == "all decided"


def test_bundle_is_one_module(tmp_path: Path, node: Callable[..., str]) -> None:
    """The joined modules load as one file without imports, whose default makes initialize and render."""
    source = bundle()
    assert not re.search(r"^import ", source, re.MULTILINE)
    (tmp_path / "bundle.mjs").write_text(source, "utf-8")
    said = node(
        "--input-type=module",
        "-e",
        f"const made = (await import('{tmp_path / 'bundle.mjs'}')).default();"
        "console.log(typeof made.initialize, typeof made.render)",
    )
    assert said.split() == ["function", "function"]


@pytest.mark.requirement("R2", "L5")
def test_a_widget_from_its_first_button_to_its_end(
    root: Path, tmp_path: Path, node: Callable[..., str]
) -> None:
    """What it sends and shows, also when it is closed in the middle or its session is not there any more."""
    (tmp_path / "bundle.mjs").write_text(bundle(), "utf-8")
    assert node(root / "tests/notebook/check_capture.mjs", tmp_path / "bundle.mjs").strip() == "all done"


@pytest.mark.requirement("U1")
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_has_every_text_that_it_names(static: Path, language: str) -> None:
    """Each text that the modules name, each of the eight states and each button is in the catalogue."""
    named = {
        key for file in static.glob("*.js") for key in re.findall(r'"(notebook\.\w+[a-z])"', file.read_text())
    }
    states = {
        f"notebook.state_{name}"
        for name in [
            "connecting",
            "connected",
            "recording",
            "paused",
            "reconnecting",
            "finalizing",
            "completed",
            "error",
        ]
    }
    assert len(named) > 5
    buttons = {f"notebook.action_{name}" for name in ["start", "pause", "resume", "stop"]}
    buttons |= {f"notebook.action_{name}" for name in ["blocks", "reconnect", "renew", "retry"]}
    assert named | states | buttons <= catalogue(language).keys()

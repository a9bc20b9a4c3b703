"""What is committed with the notebooks: short, with pictures, and nothing of this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
KEPT = [path for path in NOTEBOOKS if path.name.startswith(("02", "03"))]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


@pytest.mark.requirement("C2", "U1")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_short_and_says_first_what_for(path: Path) -> None:
    """At most 15 cells; the first one names question, runtime and needs in both languages."""
    cells = read(path)["cells"]
    assert len(cells) <= 15
    opening = "".join(cells[0]["source"])
    for heading in (
        "**Question.**",
        "**Runtime:**",
        "**Needs:**",
        "**Pregunta.**",
        "**Duración:**",
        "**Requiere:**",
    ):
        assert heading in opening


@pytest.mark.requirement("S2")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_holds_no_audio_token_path_or_widget_state(path: Path) -> None:
    """What is kept names no folder of its machine, and holds no sound, secret, error or widget."""
    notebook = read(path)
    assert "widgets" not in notebook["metadata"]
    for output in outputs(notebook):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        assert not any(
            kind.startswith(("audio/", "video/", "application/vnd.jupyter.widget"))
            for kind in output.get("data", {})
        )
        said = json.dumps({kind: data for kind, data in output.items() if kind != "data"})
        said += json.dumps(
            {kind: data for kind, data in output.get("data", {}).items() if not kind.startswith("image/")}
        )
        assert not re.search(r"(/root|/home|/work|/tmp|/Users|[A-Z]:\\\\|data:audio|token)", said)


@pytest.mark.requirement("C4", "C5", "C6")
@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_experiments_come_with_their_pictures(path: Path) -> None:
    """Every code cell has been run, and two pictures and a table are kept."""
    notebook = read(path)
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    kinds = [kind for output in outputs(notebook) for kind in output.get("data", {})]
    assert kinds.count("image/png") == 2
    assert "text/html" in kinds

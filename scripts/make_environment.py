"""Writes ``environment.yml`` from ``pyproject.toml``, so that conda users get the same set."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "environment.yml"

HEAD = """\
# Written by scripts/make_environment.py from pyproject.toml; a test holds the two equal.
#   conda env create --file environment.yml && conda activate rtstt-lab
#   jupyter lab notebooks/01_live_demo.ipynb
name: rtstt-lab
channels:
  - conda-forge
dependencies:
  - python {python}
  - pip
  - pip:
      - --constraint constraints.txt
"""


def render() -> str:
    """The whole file."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = sorted([*project["dependencies"], *extras["speech"], *extras["dev"]])
    lines = [f"      - {requirement}" for requirement in requirements]
    return HEAD.format(python=project["requires-python"]) + "\n".join([*lines, "      - --editable .", ""])


def main() -> int:
    """Writes the file; returns 0."""
    FILE.write_text(render(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

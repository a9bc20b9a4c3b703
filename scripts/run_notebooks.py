"""Runs again the notebooks whose outputs are kept, and keeps the outputs without what changes by itself.

Kept are pictures, tables and printed lines. Dropped are times of execution, progress bars (stderr), widget
state, and what the kernel says about its machine.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
KEPT = ("02_replay_experiment.ipynb", "03_compare_models.ipynb")
SHOWN = {"02_replay_experiment.ipynb": ROOT / "docs/images/replay.png"}
"""Notebooks whose first picture stands in the README."""
CELL_TIMEOUT_S = 600


def clean(notebook: NotebookNode) -> NotebookNode:
    """Takes out what is not worth keeping, in place."""
    language = notebook.metadata.get("language_info", {})
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info=NotebookNode(name=language.get("name", "python")),
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = (
            NotebookNode(tags=cell.metadata["tags"]) if cell.metadata.get("tags") else NotebookNode()
        )
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.pop("metadata", None) if output.output_type == "stream" else output.update(metadata={})
    return notebook


def run(path: Path) -> float:
    """Executes one notebook in its folder and writes it back; gives the seconds it took.

    Raises:
        CellExecutionError: a cell failed; the file stays as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    began_s = time.monotonic()
    NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    seconds = time.monotonic() - began_s
    nbformat.write(clean(notebook), path)
    if path.name in SHOWN:
        SHOWN[path.name].write_bytes(base64.b64decode(first_picture(notebook)))
    return seconds


def first_picture(notebook: NotebookNode) -> str:
    """The first PNG among the outputs, as base64."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return next(str(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {}))


def main() -> int:
    """Runs the notebooks named, or all whose outputs are kept; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="*", type=Path, default=[NOTEBOOKS / name for name in KEPT])
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    failed = 0
    for path in parser.parse_args().notebooks:
        try:
            print(f"{path.name}: {run(path):.0f} s")
        except CellExecutionError as error:
            failed = 1
            print(f"{path.name}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())

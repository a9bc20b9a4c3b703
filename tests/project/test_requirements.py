"""The list of requirements is true: complete, marked, and each proof is worth something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

import make_requirements

IDS = [
    f"{letter}{number}"
    for letter, count in {
        "C": 6,
        "L": 6,
        "D": 3,
        "E": 4,
        "R": 3,
        "M": 3,
        "A": 3,
        "O": 4,
        "S": 4,
        "U": 2,
    }.items()
    for number in range(1, count + 1)
]
ROWS = make_requirements.read()
MARKS = make_requirements.marks()
PROVED = [row for row in ROWS if row.breaks]


def test_every_requirement_has_its_line():
    """The table names each id once, in order, and tests mark no others."""
    assert [row.id for row in ROWS] == IDS
    assert MARKS.keys() <= set(IDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_is_claimed_is_marked(row, root):
    """The line named is there exactly once, and its test carries the id; where there is none, it says why."""
    if row.breaks is None:
        assert row.open
        return
    assert row.breaks.test.partition("[")[0] in MARKS[row.id]
    assert (root / row.breaks.file).read_text("utf-8").count(row.breaks.was) == 1


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", PROVED, ids=lambda row: row.id)
def test_a_broken_line_turns_its_proof_red(row, root, tmp_path):
    """In a copy of the repository, the named line is broken: the named test fails there."""
    for name in ("src", "tests", "data", "scripts", "docs", "notebooks"):
        # src/rtstt_lab/data is a link into data/
        shutil.copytree(
            root / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in root.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    broken = tmp_path / row.breaks.file
    broken.write_text(broken.read_text("utf-8").replace(row.breaks.was, row.breaks.becomes), "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", row.breaks.test],
        cwd=tmp_path,
        # goes before the installed package, which is the one that isn't broken
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout[-3000:]

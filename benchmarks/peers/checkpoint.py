"""The measured weights for peers that run in PyTorch."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import HOSTS, Site
from rtstt_lab.errors import RecognitionError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What `hosts/export_torch.py` wrote.

    Attributes:
        path: weights and dimensions under OpenAI's names.
        heads: the alignment heads as OpenAI writes them.
    """

    path: Path
    heads: str


def checkpoint_of(site: Site) -> Checkpoint:
    """The site's model as a checkpoint in its work folder; made once, in the peer's own environment.

    Raises:
        RecognitionError: it could not be made.
    """
    path, heads = site.work / "base.pt", site.work / "heads"
    if not heads.exists():
        command = map(str, (site.python, HOSTS / "export_torch.py", site.model, path, heads))
        done = subprocess.run([*command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RecognitionError("system_failed", reason=done.stderr.strip().rpartition("\n")[2])
    return Checkpoint(path, heads.read_text("utf-8"))

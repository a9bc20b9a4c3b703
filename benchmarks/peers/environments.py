"""Virtual environments of the peers: made on demand, every version pinned, nothing in the project's own."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtstt_lab.errors import ServiceError
from rtstt_lab.records import write_atomically

_REQUIREMENTS: Final = Path(__file__).parent / "requirements"
_STAMP: Final = "requirements.sha256"
_TORCH: Final = "torch"
_TAIL: Final = 3


@dataclass(frozen=True, slots=True)
class Environment:
    """What one peer is installed into.

    Attributes:
        name: of its requirements file, and of its folder.
        folder: of all environments.
    """

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        return self.folder / self.name / scripts / "python"

    @property
    def requirements(self) -> Path:
        """Every package with its version: installed as they stand, without looking for others."""
        return _REQUIREMENTS / f"{self.name}.txt"

    def version(self, package: str) -> str:
        """The pinned version of a package."""
        pin = re.search(rf"^{re.escape(package)}==(\S+)", self.requirements.read_text("utf-8"), re.M | re.I)
        return pin[1] if pin else ""

    def prepare(self) -> None:
        """Installs what is not installed as pinned; at most some minutes, once.

        Raises:
            ServiceError: it cannot be installed; carries the installer's last lines.
        """
        stamp = self.folder / self.name / _STAMP
        wanted = hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        try:
            venv.create(self.folder / self.name, clear=True, with_pip=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ServiceError("system_failed", reason=str(error)) from error
        if torch := self.version(_TORCH):  # its own libraries depend on the platform
            self._install("--constraint", str(self.requirements), f"{_TORCH}=={torch}")
        self._install("--no-deps", "--requirement", str(self.requirements))
        write_atomically(stamp, wanted)

    def _install(self, *arguments: str) -> None:
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError("system_failed", reason=" ".join(done.stderr.splitlines()[-_TAIL:]))

"""The command ``rtstt``: one file a command, each loaded when it is asked for.

What goes wrong is one line on stderr in the language of the locale: exit code 2 where the call cannot be and
nothing was done, 1 where something failed, 130 after Ctrl-C. A closed pipe is no failure of ours.
"""

from __future__ import annotations

from typing import Final

from rtstt_lab.cli.localized import LazyGroup

_COMMANDS: Final = {
    "bench": "rtstt_lab.cli.bench:bench",
    "conformance": "rtstt_lab.cli.conformance:conformance",
    "demo": "rtstt_lab.cli.demo:demo",
    "models": "rtstt_lab.cli.models:models",
    "serve": "rtstt_lab.cli.serve:serve",
    "transcribe": "rtstt_lab.cli.transcribe:transcribe",
}

main: Final = LazyGroup("rtstt", commands_at=_COMMANDS, help="cli.help")

"""The kernel's own server: one child process for all widgets that save to the same folder."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Final

from rtstt_lab.client.local import LocalServer

_starting: Final = threading.Lock()


@cache
def kernel_server(output: Path) -> LocalServer:
    """The server that saves to ``output``; the same one at every call, so that a cell may run twice.

    Its model is loaded with the first session that asks for it; it ends with the kernel, after saving.

    Args:
        output: folder of the transcripts, absolute.
    """
    return LocalServer(output=output)


def ensure_running(server: LocalServer) -> None:
    """Starts ``server`` if it is not there, or not there any more; others who need it wait meanwhile.

    Raises:
        ServiceError: it does not start.
    """
    with _starting:
        if not server.running:
            server.start()

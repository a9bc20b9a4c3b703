"""``make bench``: streaming beside offline on the recordings that are installed, as JSON on stdout."""

from __future__ import annotations

import sys

from rtstt_lab.cli import main

if __name__ == "__main__":
    main(["bench", "streaming", *sys.argv[1:]], prog_name="rtstt")

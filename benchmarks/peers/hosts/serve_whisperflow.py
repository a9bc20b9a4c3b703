"""Starts whisperflow's server with a checkpoint of one's own: CHECKPOINT PORT.

Its models are files in a folder inside its package; here that folder is the checkpoint's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    checkpoint = Path(sys.argv[1])
    os.environ["WF_MODEL"] = checkpoint.name

    import uvicorn
    from whisperflow import fast_server, transcriber

    transcriber.MODELS_DIR = str(checkpoint.parent)
    uvicorn.run(fast_server.app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")

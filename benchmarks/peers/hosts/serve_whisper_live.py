"""Starts WhisperLive's server as its ``run_server.py`` does, which its wheel leaves out."""

from __future__ import annotations

import argparse

from whisper_live.server import TranscriptionServer

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    TranscriptionServer().run("127.0.0.1", port=options.port, backend="faster_whisper")

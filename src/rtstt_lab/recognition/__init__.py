"""From samples to words: models, voice activity, the short-window decoder, the streaming recognizer."""

from __future__ import annotations

import os

# onnxruntime keeps and sends usage events unless it is told otherwise before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

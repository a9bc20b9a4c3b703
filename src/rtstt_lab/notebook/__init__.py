"""The laboratory inside JupyterLab: the kernel's own server, the microphone as a widget, the live demo."""

from rtstt_lab.client.local import LocalServer
from rtstt_lab.notebook.capture import MicCapture
from rtstt_lab.notebook.panel import LiveDemo

__all__ = ["LiveDemo", "LocalServer", "MicCapture"]

"""The laboratory inside JupyterLab: a server of the kernel's own, the microphone as a widget, and the live demo."""

from rtstt_lab.client.local import LocalServer
from rtstt_lab.notebook.capture import MicCapture
from rtstt_lab.notebook.panel import LiveDemo

__all__ = ["LiveDemo", "LocalServer", "MicCapture"]

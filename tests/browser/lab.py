"""JupyterLab as a process group of its own, and a Chromium whose microphone plays a file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

TOKEN = "for-this-test-only"
PATIENCE_MS = 120_000
"""For a page, a kernel or a click on a machine that is slow."""
ALLOWED = re.compile(
    "of shared singleton module @jupyter-widgets/base|^Plugin .+ (took .+|is taking too long) to activate"
)
"""Harmless: ipywebrtc 0.6 was built against an older version than JupyterLab shares; the machine is slow."""


def chromium() -> str | None:
    """Path of the browser, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def jupyter_lab(
    folder: Path, home: Path, environment: dict[str, str], *, encrypted: bool = False
) -> Iterator[str]:
    """JupyterLab on ``folder``, its own files in ``home``; yields its address, ends it with all its children.

    Args:
        folder: root of the file browser.
        home: for configuration, runtime files and logs.
        environment: added to the process's own.
        encrypted: over https, under an authority of its own.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    _be_quiet(home / "settings")
    places |= {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    certificate = trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    certificate.write_to_path(home / "lab.pem")
    with (home / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}"),
                *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
                *(f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"),
                *((f"--ServerApp.certfile={home / 'lab.pem'}",) if encrypted else ()),
                *(("--allow-root",) if os.geteuid() == 0 else ()),
            ],
            env={**os.environ, **places, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"{'https' if encrypted else 'http'}://127.0.0.1:{port}"
            _await_answer(process, address, home / "lab.log")
            yield address
        finally:
            _end(process)


def _be_quiet(settings: Path) -> None:
    """No question about news from elsewhere."""
    file = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text('{"fetchNews": "false", "checkForUpdates": false}')


def _await_answer(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_MS / 1000
    while True:
        try:
            httpx.get(f"{address}/api", timeout=20.0, trust_env=False, verify=False)  # noqa: S501 - our own
        except httpx.HTTPError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}") from None
            time.sleep(0.1)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks Lab to end, and with it its kernels, which lead groups of their own; insists if it does not."""
    for number, patience_s in ((signal.SIGTERM, 60), (signal.SIGKILL, 30)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)


@dataclass
class Browser:
    """A page, what its console said that is not allowed, and the addresses of its WebSockets."""

    page: Page
    complaints: list[str]
    sockets: list[str]


@contextmanager
def browser(microphone: Path | None = None, language: str = "en-GB") -> Iterator[Browser]:
    """A fresh page of headless Chromium whose microphone, if it has one, hears a WAV file once."""
    arguments = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        *([f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []),
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-domain-reliability",
        "--disable-sync",
        "--no-pings",
    ]
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium(), args=arguments, timeout=PATIENCE_MS)
        try:
            page = chrome.new_page(
                viewport={"width": 1180, "height": 800},
                locale=language,
                device_scale_factor=2,
                ignore_https_errors=True,  # the lab's authority is made for it
            )
            page.set_default_timeout(PATIENCE_MS)
            found = Browser(page, [], [])
            page.on("websocket", lambda socket: found.sockets.append(socket.url))

            def heard(message: ConsoleMessage) -> None:
                if message.type in {"warning", "error"} and not ALLOWED.search(message.text):
                    found.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

            page.on("console", heard)
            page.on("pageerror", lambda error: found.complaints.append(f"uncaught: {error}"))
            yield found
        finally:
            chrome.close()


def open_notebook(page: Page, address: str, name: str) -> None:
    """Opens a notebook and waits until its kernel is there and idle."""
    page.goto(f"{address}/lab/tree/{name}?reset&token={TOKEN}")
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.evaluate("() => window.jupyterapp.restored")
    page.wait_for_function(
        """() => {
          const session = window.jupyterapp.shell.currentWidget?.sessionContext?.session;
          return session?.kernel?.status === 'idle' && session.kernel.connectionStatus === 'connected';
        }"""
    )


def run_all_cells(page: Page) -> bool:
    """Runs the notebook; says whether all cells succeeded."""
    return bool(page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')"))


def end_kernel(page: Page) -> None:
    """Shuts the notebook's kernel down."""
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

"""What is measured of the machine."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from rtstt_lab.server.monitor import ResourceMonitor, ram_available_bytes

_GB = 1 << 30


@pytest.mark.requirement("M2", "E3")
def test_a_containers_limit_counts(tmp_path):
    """The container's remaining allowance wins where it is less; page cache counts as available."""
    host = psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text(f"{_GB}\n")
    (tmp_path / "memory.current").write_text(f"{_GB - 1000}\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 234\n")
    assert ram_available_bytes(tmp_path) == 1234
    (tmp_path / "memory.max").write_text("max\n")
    assert 1234 < ram_available_bytes(tmp_path) <= host
    assert ram_available_bytes(tmp_path / "none") > 1234


@pytest.mark.requirement("M2", "E3")
def test_the_older_control_groups_are_read_as_well(tmp_path):
    """Version 1 keeps its files in a folder of the controller."""
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("5000\n")
    (folder / "memory.usage_in_bytes").write_text("2000\n")
    assert ram_available_bytes(tmp_path) == 3000


@pytest.mark.requirement("M2")
def test_children_are_measured_too():
    """CPU time and memory of a busy child count as the tree's."""
    monitor = ResourceMonitor(time.monotonic)
    before = monitor.sample()
    # So much that servers of other tests, which give memory back meanwhile, do not outweigh it.
    busy = "import time\nheld = b'x' * 150_000_000\nwhile time.process_time() < 0.3: pass\nprint(flush=True)"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{busy}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    sample = monitor.sample()
    child.communicate(b"\n")
    assert sample.process_cpu_s - before.process_cpu_s >= 0.25
    assert sample.cpu_percent > 0
    assert sample.rss_mb > before.rss_mb
    assert 0 < sample.ram_available_mb <= psutil.virtual_memory().total / 2**20

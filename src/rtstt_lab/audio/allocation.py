"""What libav may allocate at once.

Its demuxers make room for as many samples as a header claims, up to 2 GB, before a single one has come: 3 kB
of MP4 took 600 MB. An index needs 24 bytes a packet, so 64 MB are for half a day; whatever claims more is
refused as damaged. PyAV has no name for libavutil's ``av_max_alloc``; where the loaded library cannot be
found, nothing is done.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Final

import av  # noqa: F401 - loads the library
import psutil

MOST_BYTES: Final = 64 * 2**20


def bound_allocations(most_bytes: int = MOST_BYTES) -> bool:
    """Bounds each of libav's allocations in this process from now on.

    Args:
        most_bytes: for one.

    Returns:
        Whether the library was found.
    """
    with suppress(psutil.Error, AttributeError, OSError):  # AttributeError: macOS lists no mapped files
        for mapped in psutil.Process().memory_maps():
            if "avutil" in Path(mapped.path).name:
                bound = ctypes.CDLL(mapped.path).av_max_alloc
                bound.argtypes, bound.restype = [ctypes.c_size_t], None
                bound(most_bytes)
                return True
    return False

"""The C library's heap, told to keep less for itself.

A decode allocates and frees blocks of some megabytes, on whichever thread has its turn. glibc gives each
thread an arena of its own, and what is freed stays in the arena that it came from: a server that needs
260 MB held twice that after a few recordings. Decodes on two threads that share one arena take the CPU
seconds that they took before. (A low ``MALLOC_TRIM_THRESHOLD_`` saves as much memory and costs two thirds
more CPU: every block is then mapped and unmapped.) Where the C library is another one, nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from typing import Any
from typing import Final as Constant

_M_ARENA_MAX: Constant = -8  # of <malloc.h>


def one_arena() -> None:
    """Lets all threads share one arena; before threads are started. ``MALLOC_ARENA_MAX`` outranks it."""
    if (library := _glibc()) and "MALLOC_ARENA_MAX" not in os.environ:
        library.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Gives back the pages that hold nothing: milliseconds, and as much again when they are next needed."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None

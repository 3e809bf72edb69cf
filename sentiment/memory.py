"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Gives back to the system what this process has freed; some milliseconds.

    The C library of most of Linux would hold on to it, in pieces of which later batches use some, so that a process
    takes ever more. Others have no call for it, and need none.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))

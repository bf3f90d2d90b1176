"""How this process, and those that it starts, treat memory that they have freed.

Belongs here: the setting of the C library. Does not: who asks for it: what owns a process, a command or Dagster's
executor; never what is called in one.
"""

import ctypes
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20
"""Bytes; glibc takes no larger one on a 64-bit machine."""
KEPT = 256 * 2**20
VARIABLES = {"MALLOC_MMAP_THRESHOLD_": str(LARGEST_MMAP_THRESHOLD), "MALLOC_TRIM_THRESHOLD_": str(KEPT)}
"""What tells glibc the same where a process begins."""


def keep_freed_memory() -> bool:
    """Let glibc keep up to 256 MiB of what a process frees: this one from here on, and all that it starts.

    Returns whether it was told so; it is not where one of :data:`VARIABLES` is set already.

    By default it gives arrays of some MB back to the system and asks for zeroed pages at the next. In extraction at
    16 kHz that takes 4.4 ms per recording of 7 s, not 1.9 ms; two processes that each train the two-level network do
    24 to 27 batches a second together, not 19 to 23. Other C libraries stay as they are.
    """
    if platform.libc_ver()[0] != "glibc" or VARIABLES.keys() & os.environ.keys():
        return False
    os.environ.update(VARIABLES)
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))

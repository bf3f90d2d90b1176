"""Whether a file is still the one that was looked at, without reading it.

Belongs here: what changes when its content does. Does not: reading (corpus/reading.py, artefacts.py).
"""

import os
import time

SETTLED_S = 2.0
"""Two changes of a file that are less apart may leave it the same times."""


def identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes when a file's content does: size, mtime, ctime (which nobody can set back), inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def settled(status: os.stat_result) -> bool:
    """Return whether a file was not changed just now; one whose time lies ahead, by a wrong clock, was not either."""
    return abs(time.time() - status.st_mtime) > SETTLED_S

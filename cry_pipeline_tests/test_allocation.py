"""Freed memory is kept for what comes next, where the C library can be told so."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from cry_pipeline.allocation import keep_freed_memory
assert keep_freed_memory() or sys.argv[1] == "without"
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_arrays_of_some_mb_come_from_kept_memory() -> None:
    done = subprocess.run([sys.executable, "-c", CODE, "with"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2048, "at most one of 50 arrays of 2,048 pages was cleared anew"

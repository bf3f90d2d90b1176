"""Freed memory is kept for what comes next, where the C library can be told so."""

import os
import platform
import subprocess
import sys

import pytest

from cry_pipeline.allocation import VARIABLES, keep_freed_memory

FAULTS = """
import resource
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        arrays = [np.ones(2**18) for _ in range(40)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
TOLD = "from cry_pipeline.allocation import keep_freed_memory; assert keep_freed_memory()\n"


def pages_cleared(code: str) -> int:
    """Return how many of 102,400 pages were cleared anew: five times 80 MB in arrays, all freed in between."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_arrays_come_from_kept_memory_here_and_in_processes_that_are_started_later() -> None:
    start = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {FAULTS!r}], check=True)\n"
    assert pages_cleared(TOLD + FAULTS) < 2048
    assert pages_cleared(TOLD + start) < 2048
    assert pages_cleared(FAULTS) > 50_000, "else this test would see nothing"


def test_who_sets_the_variables_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:  # a command that another test called in this process has set them
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    assert not keep_freed_memory()
    assert "MALLOC_MMAP_THRESHOLD_" not in os.environ

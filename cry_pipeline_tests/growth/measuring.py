"""What a stage costs: CPU and memory, in a process of its own, so that none hides behind another's.

Belongs here: clocks, memory, bytes on the disk. Does not: stages (stages.py), and what is made of the figures.
"""

import gc
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 2**20
LIBRARIES = ("pandera.pandas", "sklearn.model_selection", "scipy.stats", "matplotlib.pyplot", "jinja2")
HIGH_WATER, RESET_HIGH_WATER = "VmHWM", "5"


@dataclass(frozen=True)
class Cost:
    """What a stage took for so many ``rows``; ``memory_bytes`` is what it had at most above what there was before."""

    stage: str
    rows: int
    wall_s: float
    cpu_s: float
    memory_bytes: int
    bytes: int

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of one row, in microseconds."""
        return 1e6 * self.cpu_s / self.rows

    @property
    def memory_per_row(self) -> float:
        """Bytes of memory of one row."""
        return self.memory_bytes / self.rows

    @property
    def rows_per_s(self) -> float:
        """Rows in a second of CPU time."""
        return self.rows / self.cpu_s


def measured(stage: str, rows: int, act: Callable[[], object], written: Callable[[], int]) -> Cost:
    """Return what ``act`` takes in this process, which must be young: memory that was freed before is used again."""
    for library in LIBRARIES:  # loading them is no row's cost
        importlib.import_module(library)
    gc.collect()
    before = _resident()
    _forget_high_water()
    wall, cpu = time.perf_counter(), _cpu_s()
    act()
    cost = time.perf_counter() - wall, _cpu_s() - cpu
    return Cost(stage, rows, *cost, max(0, _status(HIGH_WATER) - before), written())


def in_a_process(module: str, stage: str, rows: int, folder: Path, limit_s: float) -> Cost | str:
    """Return what ``stage`` costs in a process of its own, or in words why that is not known."""
    command = [sys.executable, "-m", module, "--stage", stage, "--rows", str(rows), "--folder", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"not done in {limit_s:g} s"
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}, as a system does that is out of memory"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def said(cost: Cost) -> str:
    """Return ``cost`` as a line for :func:`in_a_process`."""
    return json.dumps(asdict(cost))


def _cpu_s() -> float:
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in times)


def _forget_high_water() -> None:
    Path("/proc/self/clear_refs").write_text(RESET_HIGH_WATER)


def _resident() -> int:
    return _status("VmRSS")


def _status(name: str) -> int:
    """Return an entry of ``/proc/self/status`` in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

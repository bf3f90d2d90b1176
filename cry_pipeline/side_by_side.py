"""Work done side by side in processes, each with one thread: what comes out does not depend on how many there are.

Belongs here: how many cores there are for it, and handing work to joblib's processes. Does not: what is done in them.
"""

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

WATCH_INTERVAL_S = 1.0
"""How often a process looks whether the one that it works for is still there."""

T = TypeVar("T")
R = TypeVar("R")


class ProcessDiedError(RuntimeError):
    """A process ended in the middle of its work; the message says what to do."""


def cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use: those that it is bound to, or fewer where its cgroup allows less.

    A share of a core that is left over is not counted: two processes on 1.5 cores would wait for each other.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(int(limit) for limit in _cgroup_limits(root))]))


def _cgroup_limits(root: Path) -> Iterator[float]:
    """Yield the cores that each cgroup from this process' own up to the root allows, where it sets a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # not Linux
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        group = Path(path.lstrip("/"))
        # A container may see its own cgroup as the root of the mount, while /proc still says where the host has it.
        for place in (group, *group.parents):
            if not controllers:
                yield from _quota((mounted / place / "cpu.max",))
            elif "cpu" in controllers.split(","):
                for mount in (controllers, "cpu"):
                    folder = mounted / mount / place
                    yield from _quota((folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"))


def _quota(files: Sequence[Path]) -> Iterator[float]:
    try:
        quota, period = " ".join(file.read_text(encoding="utf-8") for file in files).split()
    except (OSError, ValueError):
        return  # no such cgroup, or none that limits
    if quota not in ("max", "-1"):
        yield int(quota) / int(period)


def in_processes(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> Iterator[tuple[T, R]]:
    """Yield each task with ``work(task)``, as they are done, by ``processes`` processes that show no progress.

    The processes stay for the next call, as it takes them seconds to import what work needs, and end with this one,
    however it ends.

    Raises:
        ProcessDiedError: a process was killed, as a system does that is out of memory.
        Exception: what ``work`` raised; the other tasks are then given up.
    """
    import numpy as np
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # An array, which joblib puts into a file that all processes map; torch's tensors in it would else be moved
    # through shared memory, which in a container is 64 MB by default.
    packed = np.frombuffer(pickle.dumps(work), dtype=np.uint8)
    try:
        with parallel_config(backend="loky", initializer=end_with, initargs=(os.getpid(),)):
            parallel = Parallel(processes, return_as="generator_unordered")
        with _children_deaf_to_ctrl_c():
            done = parallel(delayed(_do)(packed, task) for task in tasks)
        yield from done  # pyright: ignore[reportReturnType]
    except TerminatedWorkerError:
        raise ProcessDiedError(
            f"One of {processes} processes was killed, perhaps because memory ran out. What was finished is "
            "kept; to go on with fewer at a time, set CRY_PIPELINE_WORKERS=1 and run again."
        ) from None


@contextmanager
def _children_deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that are started meanwhile leave Ctrl-C to this one, which ends them; else each says so itself."""
    # Started by the first process that needs it, it would let the signal through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """End this process soon after ``parent``, whose child it is, has ended.

    A killed process tells nobody. Its children would go on with their task, and joblib's then wait for the next one
    for ever, with all the memory that they hold.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


def _do(packed: "np.ndarray", task: T) -> tuple[T, Any]:
    from cry_pipeline import progress

    progress.hide()
    return task, pickle.loads(packed.data)(task)  # noqa: S301 - packed by the parent

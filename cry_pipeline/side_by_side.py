"""Work done side by side in processes, each with one thread: what comes out does not depend on how many there are.

Belongs here: handing work to joblib's processes. Does not: what is done in them.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from cry_pipeline import progress

T = TypeVar("T")
R = TypeVar("R")


class ProcessDiedError(RuntimeError):
    """A process ended in the middle of its work; the message says what to do."""


def in_processes(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> Iterator[tuple[T, R]]:
    """Yield each task with ``work(task)``, as they are done, by ``processes`` processes that show no progress.

    The processes stay for the next call, as it takes them seconds to import what work needs, and end with this one.

    Raises:
        ProcessDiedError: a process was killed, as a system does that is out of memory.
        Exception: what ``work`` raised; the other tasks are then given up.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # An array, which joblib puts into a file that all processes map; torch's tensors in it would else be moved
    # through shared memory, which in a container is 64 MB by default.
    packed = np.frombuffer(pickle.dumps(work), dtype=np.uint8)
    parallel = Parallel(processes, backend="loky", return_as="generator_unordered")
    try:
        yield from parallel(delayed(_do)(packed, task) for task in tasks)  # pyright: ignore[reportReturnType]
    except TerminatedWorkerError:
        raise ProcessDiedError(
            f"One of {processes} processes was ended from outside, perhaps for want of memory. What was finished is "
            "kept; to go on with fewer at a time, set CRY_PIPELINE_WORKERS=1 and run again."
        ) from None


def _do(packed: np.ndarray, task: T) -> tuple[T, Any]:
    progress.hide()
    return task, pickle.loads(packed.data)(task)  # noqa: S301 - packed by the parent

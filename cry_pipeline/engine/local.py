"""The engine of one machine: processes, each with one thread.

Belongs here: when processes are worth starting. Does not: the processes themselves (side_by_side.py).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cry_pipeline.engine.interface import WorkerDiedError
from cry_pipeline.engine.task import perform
from cry_pipeline.side_by_side import ProcessDiedError, in_processes

WORTH_PROCESSES_S = 12.0
"""What is left to do takes longer where processes are worth it: they take some seconds to import what they need."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Local:
    """See :class:`.interface.Engine`: up to ``workers`` processes of this machine, which end with this one."""

    workers: int = 1
    shares_memory = True

    def size(self) -> int:
        """Return how many processes there are at most."""
        return self.workers

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        memory: int = 0,
        retries: int = 0,
    ) -> Iterator[tuple[T, R]]:
        """See :meth:`.interface.Engine.map`. The first item is done here, and tells whether processes are worth it.

        Where an item takes a GPU, which processes of one machine would have to share, one is done after the other.
        """
        started = time.perf_counter()
        for item in items[:1]:
            yield item, function(item)
        rest, processes = items[1:], 1 if gpus else max(1, int(self.workers // cpus))
        if min(processes, len(rest)) < 2 or (time.perf_counter() - started) * len(rest) <= WORTH_PROCESSES_S:
            yield from ((item, function(item)) for item in rest)
            return
        try:
            for item, done in in_processes(partial(perform, function), rest, processes):
                done.repeat_log()
                yield item, done.outcome()
        except ProcessDiedError as error:
            raise WorkerDiedError(str(error)) from None

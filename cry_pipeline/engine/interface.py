"""What the pipeline asks of whatever spreads its work.

Belongs here: the promises of every engine, and its faults. Does not: how an engine keeps them (local.py, ray.py), and
what is done with an item on a worker (task.py).

A function and its items are handed to processes, maybe on other machines. So both are small: places, digests, ids and
specs, from which a worker reads what it needs. What a worker makes it keeps in files, whole or not at all; what it
returns is a small report. Any item may be worked on twice, or be given up in the middle, and nothing is the worse.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class EngineError(RuntimeError):
    """Work cannot be spread, or not any more; the message says why and what to do. What was finished is kept."""


class WorkerDiedError(EngineError):
    """A process ended in the middle of its work, too often to try again; the message says what to do."""


class Engine(Protocol):
    """Spreads work over cores or machines. Results depend neither on which engine it is nor on its size."""

    shares_memory: bool
    """Whether what a function holds, large arrays too, is in memory once for all workers. Else it has to be small:
    each worker then reads for itself what it needs."""

    def size(self) -> int:
        """Return how many items of one CPU each are worked on at the same time, at least 1; it may change.

        Raises:
            EngineError: the machines cannot be reached.
        """
        ...

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        memory: int = 0,
        retries: int = 3,
    ) -> Iterator[tuple[T, R]]:
        """Yield each item with ``function(item)``, as they are done, in any order.

        Few more items than are worked on are ever given out. What the function logs is logged here, too, with the
        name of the worker. If nobody wants more (Ctrl-C), what is being worked on is given up.

        Args:
            function: what is done; it and the items can be pickled, and are small unless memory is shared.
            items: each is hashable or not, and is given back as it was.
            cpus: that one item takes.
            gpus: that one item takes; a share of one where several can have it together.
            memory: bytes that one item takes at most; 0: not known, and not looked after.
            retries: how often one item is given out again because its worker died. Not where the workers are this
                machine's own processes: what killed one, mostly too little memory, would kill the next.

        Raises:
            WorkerDiedError: an item's workers died more often than that.
            EngineError: the machines cannot be reached any more, or cannot do the work.
            Exception: what ``function`` raised; the other items are then given up.
        """
        ...

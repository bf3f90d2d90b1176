"""How recordings get to the transforms: loaded ahead by threads, grouped.

Belongs here: order, overlap and bounds on memory. Does not: what is done with a batch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    ahead: int,
    give_up: Callable[[], None] = lambda: None,
) -> Iterator[R]:
    """Yield ``work(item)`` in the order of ``items``, done by ``workers`` threads, at most ``ahead`` in advance.

    Where nobody wants more, ``give_up`` is called before the threads are waited for: it may end what they wait for.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        results = deque()
        try:
            for item in items:
                results.append(pool.submit(work, item))
                if len(results) > ahead:
                    yield results.popleft().result()
            while results:
                yield results.popleft().result()
        except BaseException:
            for result in results:
                result.cancel()
            give_up()
            raise


def grouped(items: Iterable[T], size: Callable[[T], int], *, most: int, largest: int) -> Iterator[list[T]]:
    """Yield neighbours in groups of at most ``most`` that, padded to the longest, hold at most ``largest`` samples.

    A single item that is longer than ``largest`` is a group of its own.
    """
    group: list[T] = []
    longest = 0
    for item in items:
        longest = max(longest, size(item))
        if group and (len(group) == most or (len(group) + 1) * longest > largest):
            yield group
            group, longest = [], size(item)
        group.append(item)
    if group:
        yield group

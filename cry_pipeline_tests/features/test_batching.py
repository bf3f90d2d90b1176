import threading
import time

import numpy as np
import pytest

from cry_pipeline.features.batching import grouped, in_threads
from cry_pipeline.features.computing import padded


def test_results_come_in_order_whichever_is_done_first() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item

    assert list(in_threads(slow_first, range(20), workers=3, ahead=5)) == list(range(20))


def test_no_more_than_asked_for_are_loaded_ahead() -> None:
    done = []
    results = in_threads(done.append, range(100), workers=2, ahead=4)
    for taken in range(1, 20):
        next(results)
        time.sleep(0.002)
        assert len(done) <= taken + 4


def test_work_is_done_beside_the_consumer() -> None:
    names = set(in_threads(lambda _: threading.current_thread().name, range(8), workers=2, ahead=4))
    assert threading.current_thread().name not in names


def test_an_error_in_a_thread_reaches_the_consumer_and_stops_the_rest() -> None:
    done = []

    def fail(item: int) -> None:
        time.sleep(0.005)
        done.append(item)
        if item == 2:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(in_threads(fail, range(1000), workers=1, ahead=60))
    assert len(done) < 30


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([5, 5, 5, 5], [[5, 5, 5], [5]]),  # at most three
        ([9, 9, 9], [[9, 9], [9]]),  # at most 20 samples
        ([2, 9, 2], [[2, 9], [2]]),  # padded to the longest, three would be 27
        ([50, 1, 1], [[50], [1, 1]]),  # too long for any group, but not lost
        ([], []),
    ],
)
def test_groups_keep_to_number_and_padded_size(sizes: list[int], groups: list[list[int]]) -> None:
    assert list(grouped(sizes, lambda size: size, most=3, largest=20)) == groups


def test_padding_is_behind_each_recording() -> None:
    batch, lengths = padded([np.array([1, 2, 3], np.float32), np.array([4], np.float32)])
    assert batch.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert lengths.tolist() == [3, 1]

"""Work in processes: all of it is done, and faults are said."""

import os
import signal
import time

import pytest

from cry_pipeline import progress
from cry_pipeline.side_by_side import ProcessDiedError, in_processes


def _work(task: str) -> tuple[int, bool]:
    """Behave as the task says."""
    if task == "fails":
        raise ValueError("what the work said")
    if task == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "lasts":
        time.sleep(3)
    return os.getpid(), progress._hidden


def test_each_task_is_done_once_in_another_process_that_shows_no_progress() -> None:
    done = dict(in_processes(_work, [f"task {number}" for number in range(5)], 2))
    assert sorted(done) == [f"task {number}" for number in range(5)]
    assert os.getpid() not in {pid for pid, _ in done.values()}
    assert {hidden for _, hidden in done.values()} == {True}
    assert not progress._hidden


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="what the work said"):
        list(in_processes(_work, ["lasts", "fails", "task"], 2))


def test_a_killed_process_is_said_and_the_next_work_is_done() -> None:
    with pytest.raises(ProcessDiedError, match="CRY_PIPELINE_WORKERS=1"):
        list(in_processes(_work, ["is killed", "lasts"], 2))
    assert dict(in_processes(_work, ["task"], 2)).keys() == {"task"}


def test_work_that_nobody_waits_for_any_more_is_given_up() -> None:
    work = in_processes(_work, ["task", *["lasts"] * 20], 2)
    assert next(work)[0] == "task"
    started = time.monotonic()
    work.close()  # pyright: ignore[reportAttributeAccessIssue] - a generator
    assert time.monotonic() - started < 15, "20 tasks of 3 s were not waited for"

"""Work in processes: all of it is done, and faults are said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cry_pipeline import progress
from cry_pipeline.side_by_side import ProcessDiedError, cores, in_processes
from cry_pipeline_tests.processes import is_alive, wait_until


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


PARENT = """
import sys, time
from cry_pipeline.side_by_side import in_processes
from cry_pipeline_tests.processes import say_pid_and_last

for _ in in_processes(say_pid_and_last, [float(seconds) for seconds in sys.argv[1:]], 2):
    print("done", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("tasks", "lines"), [(["600", "600"], 2), (["0", "0"], 4)], ids=["in the middle of a task", "waiting for another"]
)
def test_processes_end_when_the_one_they_work_for_is_killed(tasks: list[str], lines: int) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, *tasks], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            said = [parent.stdout.readline().strip() for _ in range(lines)]
            workers = {int(line) for line in said if line != "done"}
            assert workers
            assert all(map(is_alive, workers)), said
        finally:
            parent.kill()
    try:
        wait_until(lambda: not any(map(is_alive, workers)), "the processes end")
    finally:
        for worker in filter(is_alive, workers):
            os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize(
    ("cgroup", "files", "allowed"),
    [
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1),
        ("0::/docker/of/the/host", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "6400000 100000"}, None),
        (
            "4:cpu,cpuacct:/x\n0::/",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "100000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("1:cpu:/x\n5:cpuset:/", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, None),
        ("1:cpu:/x", {"cpu/cpu.cfs_quota_us": "199999", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("5:cpuset:/", {}, None),
        (None, {}, None),
    ],
)
def test_cores_are_those_that_the_cgroup_allows(
    cgroup: str | None, files: dict[str, str], allowed: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if cgroup is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"{cgroup}\n")
    for name, content in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    assert cores(tmp_path) == (allowed or 8)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_are_those_that_the_process_is_bound_to() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from cry_pipeline.side_by_side import cores; print(cores())"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1"


def _blocks_ctrl_c(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_is_left_to_the_process_that_they_work_for() -> None:
    """One that has just begun would else show a traceback of Python's own beginning."""
    assert [blocked for _, blocked in in_processes(_blocks_ctrl_c, [1, 2, 3], 3)] == [True] * 3
    assert not _blocks_ctrl_c(0)

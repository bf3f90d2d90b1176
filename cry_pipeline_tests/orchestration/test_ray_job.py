"""A run that is a job of Ray ends itself once Ray has lost it, and gives up the lock of the data folder by that."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cry_pipeline.orchestration import ray_job
from cry_pipeline.orchestration.lock import write_alone
from cry_pipeline_tests.processes import is_alive, wait_until

PATIENCE_S = 1.0
RUN = """
import subprocess, sys, time
from pathlib import Path
from cry_pipeline.orchestration import ray_job
from cry_pipeline.orchestration.lock import write_alone

ray_job.LOOKS_EVERY_S = 0.1
job = {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_ADDRESS": sys.argv[2], ray_job.PATIENCE: sys.argv[3]}
with ray_job.ended_once_lost(job), write_alone(Path(sys.argv[1]), "a run"):
    worker = subprocess.Popen(["sleep", "60"])
    print(worker.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def head() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address_of(head: socket.socket) -> str:
    return f"127.0.0.1:{head.getsockname()[1]}"


SHELL = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", *sys.argv[1:]]).wait()
"""
SUPERVISOR = """
import subprocess, sys, time
shell = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], start_new_session=True)
print(shell.pid, flush=True)
shell.wait()
time.sleep(60)
"""


@pytest.fixture
def run(head: socket.socket, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run's process, as the leader of a session, which holds the lock of ``tmp_path`` and has a worker."""
    command = [sys.executable, "-c", RUN, str(tmp_path), address_of(head), str(PATIENCE_S)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def check_that_the_lock_is_free(data: Path) -> None:
    with write_alone(data, "the run that was launched anew", wait_s=0):
        pass


def test_without_a_head_it_ends_with_all_of_its_processes_and_gives_up_the_lock(
    run: subprocess.Popen[str], head: socket.socket, tmp_path: Path
) -> None:
    assert run.stdout
    assert run.stderr
    worker = int(run.stdout.readline())
    time.sleep(2 * PATIENCE_S)
    assert run.poll() is None
    address = address_of(head)
    head.close()
    began = time.monotonic()
    assert run.wait(10 * PATIENCE_S) == -signal.SIGKILL
    assert time.monotonic() - began > PATIENCE_S / 2
    assert f"Ray's head at {address} has been out of reach for 1 s" in run.stderr.read()
    wait_until(lambda: not is_alive(worker), "the worker has ended")
    check_that_the_lock_is_free(tmp_path)


def test_without_its_supervisor_it_ends_with_all_of_its_processes_and_gives_up_the_lock(
    head: socket.socket, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SUPERVISOR, SHELL, RUN, str(tmp_path), address_of(head), str(10 * PATIENCE_S)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stderr
        shell, worker = (int(supervisor.stdout.readline()) for _ in range(2))
        os.kill(shell, signal.SIGTERM)  # as in a run that is stopped: it has its time to note that
        time.sleep(PATIENCE_S)
        assert is_alive(worker)
        supervisor.kill()
        said = supervisor.stderr.read()  # to its end: then all have closed it
    assert "Ray's supervisor of this run has ended" in said
    wait_until(lambda: not is_alive(worker), "the worker has ended")
    check_that_the_lock_is_free(tmp_path)


def test_a_run_whose_session_has_ended_before_it_began_ends_at_once(head: socket.socket, tmp_path: Path) -> None:
    late = f"import os, time\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(0.5)\n{RUN}"
    command = [sys.executable, "-c", late, str(tmp_path), address_of(head), str(10 * PATIENCE_S)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 * PATIENCE_S, check=True)
    assert "Ray's supervisor of this run has ended" in done.stderr
    check_that_the_lock_is_free(tmp_path)


def test_a_head_that_is_back_in_time_ends_nothing(run: subprocess.Popen[str], head: socket.socket) -> None:
    assert run.stdout
    run.stdout.readline()
    port = head.getsockname()[1]
    for _ in range(3):
        head.close()
        time.sleep(PATIENCE_S / 2)
        with socket.create_server(("127.0.0.1", port)) as head:
            time.sleep(PATIENCE_S / 2)
    assert run.poll() is None


@pytest.mark.parametrize(
    "environment",
    [{}, {"RAY_ADDRESS": "127.0.0.1:1"}, {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}],
    ids=["a machine", "a node's shell", "no address"],
)
def test_what_is_no_job_of_ray_watches_nothing(environment: dict[str, str]) -> None:
    before = threading.active_count()
    with ray_job.ended_once_lost(environment):
        assert threading.active_count() == before


def test_the_watch_ends_with_the_run(head: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_job, "LOOKS_EVERY_S", 0.05)
    job = {ray_job.OF_A_JOB: "{}", ray_job.ADDRESS: address_of(head)}
    before = threading.active_count()
    with ray_job.ended_once_lost(job):
        assert threading.active_count() == before + 1
    wait_until(lambda: threading.active_count() == before, "nobody watches any more")

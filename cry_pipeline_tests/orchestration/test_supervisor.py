"""Services are started again when they end, and leave nothing behind, whatever they do when they are asked to end."""

import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cry_pipeline.orchestration import supervisor as module
from cry_pipeline.orchestration.supervisor import Service, Supervisor
from cry_pipeline_tests.processes import is_alive, wait_until

LASTING = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LASTING
LEAVING = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LASTING!r}])"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path / "said.log")


def service(script: str) -> Service:
    return Service("The service", [sys.executable, "-c", script], dict(os.environ))


def said(supervisor: Supervisor, count: int = 1) -> list[int]:
    """Return which processes have said that they run, once there are as many."""

    log = supervisor.log
    assert log is not None

    def pids() -> list[int]:
        supervisor.watch()
        return [int(pid) for pid in log.read_text().split()]

    wait_until(lambda: len(pids()) == count, "the services run")
    return pids()


def test_a_killed_service_is_started_again_and_it_is_said(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    with supervisor, caplog.at_level(logging.WARNING, "cry_pipeline"):
        supervisor.start(service(LASTING))
        (first,) = said(supervisor)
        os.kill(first, signal.SIGKILL)
        _, second = said(supervisor, 2)
        assert is_alive(second)
    assert [record.getMessage() for record in caplog.records] == [
        f"The service has ended (killed by SIGKILL), and is started again in 0 s. What it said is in {supervisor.log}."
    ]
    assert not is_alive(second)


def test_one_that_always_ends_is_started_ever_more_rarely(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 100.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 300.0)
    failing, pauses_s = service("raise SystemExit(3)"), []
    with supervisor:
        supervisor.start(failing)
        while len(pauses_s) < 4:
            supervisor.watch()
            if failing.process is None:
                pauses_s.append(round(failing.changed - time.monotonic(), -2))
                failing.changed = 0.0  # the pause is over
    assert pauses_s == [100, 200, 300, 300]


@pytest.mark.parametrize("script", [LASTING, DEAF, LEAVING], ids=["heeds", "deaf", "left behind by one that ended"])
def test_nothing_is_left_behind(script: str, supervisor: Supervisor) -> None:
    with supervisor:
        supervisor.start(service(script))
        pids = said(supervisor)
        assert all(map(is_alive, pids))
    wait_until(lambda: not any(map(is_alive, pids)), "all have ended", 5)


def test_a_service_heeds_what_a_background_job_ignores(supervisor: Supervisor) -> None:
    """Dagster's processes take SIGTERM for Ctrl-C; they, and runs that they start, could not be ended but by force."""
    asked = "import signal; print(int(signal.getsignal(signal.SIGINT) is signal.default_int_handler), flush=True)"
    asking = service(f"{asked}; import time; time.sleep(60)")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with supervisor:
            supervisor.start(asking)
            assert said(supervisor) == [1]
    finally:
        signal.signal(signal.SIGINT, before)

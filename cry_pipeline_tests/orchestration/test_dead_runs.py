"""A run is executed alone on its data folder, and one whose process was killed is not called started for ever."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from unittest.mock import MagicMock

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from cry_pipeline.orchestration import dead_runs, launcher
from cry_pipeline.orchestration.dead_runs import PROCESS_TAG, mark_dead_runs, process_of
from cry_pipeline.orchestration.executor import one_writer
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.launcher import LocalRunLauncher
from cry_pipeline.orchestration.lock import BusyError, write_alone
from cry_pipeline.settings import Settings
from cry_pipeline_tests.clocks import set_back
from cry_pipeline_tests.processes import wait_until

Status = dg.DagsterRunStatus
RUN = """
import dagster as dg
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.settings import Settings
from cry_pipeline_tests.orchestration.test_dead_runs import lasting_job
with open_instance(Settings()) as instance:
    dg.execute_job(dg.reconstructable(lasting_job), instance)
"""


@dg.op
def lasting() -> None:
    """Take as long as the test wants."""
    wait_until((Settings().data / "end").exists, "the test ends the op")


def lasting_job() -> dg.JobDefinition:
    """Return a job with the executor of the installation that the environment names."""

    @dg.job(executor_def=one_writer(Settings()))
    def lasts() -> None:
        lasting()

    return lasts


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as opened:
        yield opened


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Where started processes are ended at last."""
    with ExitStack() as stack:
        yield stack


def start_run(processes: ExitStack) -> subprocess.Popen[bytes]:
    """Execute the job in a process of its own, as a code server does."""
    process = processes.enter_context(subprocess.Popen([sys.executable, "-c", RUN]))
    processes.callback(process.kill)
    return process


def only_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    (run,) = instance.get_runs()
    return run


def has_said(instance: dg.DagsterInstance, words: str) -> bool:
    return any(words in log.message for run in instance.get_runs() for log in instance.all_logs(run.run_id))


def test_a_run_that_another_process_executes_waits_for_the_lock_and_holds_it_to_its_end(
    instance: dg.DagsterInstance, settings: Settings, processes: ExitStack
) -> None:
    with write_alone(settings.data, "the test"):
        process = start_run(processes)
        wait_until(lambda: has_said(instance, "the test (process"), "the run says for whom it waits", 120)
        assert not has_said(instance, "Started execution of step")
    wait_until(lambda: has_said(instance, "Started execution of step"), "the step starts once the lock is free", 120)
    said = r"run [0-9a-f]{8} of job lasts \(process " + str(process.pid)
    with pytest.raises(BusyError, match=said), write_alone(settings.data, "the test", wait_s=0):
        pytest.fail("two wrote at a time")
    (settings.data / "end").touch()
    wait_until(lambda: only_run(instance).status is Status.SUCCESS, "the run ends", 120)
    with write_alone(settings.data, "the test", wait_s=5):
        pass


@pytest.mark.parametrize("where", ["here", "in another container"])
def test_a_run_whose_process_was_killed_is_failed_and_a_living_one_is_left_alone(
    where: str,
    instance: dg.DagsterInstance,
    settings: Settings,
    processes: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if where != "here":  # its number says nothing then, but the lock that it holds in the folder of both does
        monkeypatch.setattr(dead_runs.Process, "can_be_asked", False)
    process = start_run(processes)
    wait_until(lambda: has_said(instance, "Started execution of step"), "the step starts", 120)
    of_machine = instance.run_launcher
    assert isinstance(of_machine, LocalRunLauncher)
    assert of_machine.check_run_worker_health(only_run(instance)).status is WorkerStatus.RUNNING
    assert mark_dead_runs(instance) == []
    process.kill()
    process.wait()
    assert only_run(instance).status is Status.STARTED
    assert of_machine.check_run_worker_health(only_run(instance)).status is WorkerStatus.NOT_FOUND
    assert mark_dead_runs(instance) == [only_run(instance).run_id]
    assert only_run(instance).status is Status.FAILURE
    assert has_said(instance, "has ended without a word")
    with write_alone(settings.data, "the test", wait_s=0):
        pass


def make_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]) -> dg.DagsterRun:
    """Record a run of which nobody has heard since."""
    run = instance.create_run_for_job(lasting_job(), tags=tags)
    if status in (Status.STARTED, Status.CANCELING):
        event = dg.DagsterEventType.RUN_START
        instance.report_dagster_event(dg.DagsterEvent(event.value, run.job_name, message="started"), run.run_id)
    if status is Status.CANCELING:
        instance.report_run_canceling(run)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is status
    return found


ENDED = {"host": dead_runs.Process.this().host, "pid": 2**22 + 1, "started": "another-boot 1"}


@pytest.mark.parametrize(
    ("status", "marked"),
    [(Status.NOT_STARTED, Status.FAILURE), (Status.STARTED, Status.FAILURE), (Status.CANCELING, Status.CANCELED)],
)
def test_a_run_in_any_state_is_ended_when_its_process_has(
    status: dg.DagsterRunStatus, marked: dg.DagsterRunStatus, instance: dg.DagsterInstance
) -> None:
    run = make_run(instance, status, {PROCESS_TAG: json.dumps(ENDED)})
    assert mark_dead_runs(instance) == [run.run_id]
    assert only_run(instance).status is marked


@pytest.mark.parametrize("tag", [PROCESS_TAG, dead_runs.SHOWN_PROCESS_TAG])
def test_a_run_of_another_host_is_left_alone(
    tag: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "UNSAID_S", 0.0)
    make_run(instance, Status.STARTED, {tag: json.dumps(ENDED | {"host": "elsewhere"})})
    assert mark_dead_runs(instance) == []


def test_a_run_that_never_said_which_process_it_is_has_a_while_to_do_so(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(instance, Status.STARTED, {})
    assert process_of(run) is None
    assert mark_dead_runs(instance) == []
    monkeypatch.setattr(dead_runs, "time", set_back())
    assert mark_dead_runs(instance) == [run.run_id]


def test_a_launched_process_that_is_alive_is_believed_before_it_said_a_word(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "UNSAID_S", 0.0)
    run = make_run(instance, Status.STARTED, {})
    pid = dead_runs.Process.this().pid
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run)
    assert mark_dead_runs(instance) == []


def test_a_dead_run_is_failed_only_once_its_code_server_can_launch_it_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told earlier, Dagster says "Failed to retry run", and never tries again."""
    server = {GRPC_INFO_TAG: json.dumps({"host": "code-server", "port": 4266})}
    run = make_run(instance, Status.STARTED, server | {PROCESS_TAG: json.dumps(ENDED)})
    asked = MagicMock(side_effect=DagsterUserCodeUnreachableError)
    monkeypatch.setattr(launcher.DagsterGrpcClient, "list_repositories", asked)
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(launcher, "time", clock)
    of_deployment, now = instance.run_launcher, 1000.0
    assert of_deployment.check_run_worker_health(run).status is WorkerStatus.RUNNING
    asked.side_effect = None  # it is back
    for seconds, status in ((0, WorkerStatus.RUNNING), (60, WorkerStatus.RUNNING), (31, WorkerStatus.NOT_FOUND)):
        now += seconds
        assert of_deployment.check_run_worker_health(run).status is status


def test_a_dead_run_whose_code_server_never_comes_back_is_failed_at_last(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = {GRPC_INFO_TAG: json.dumps({"host": "code-server", "port": 4266})}
    run = make_run(instance, Status.STARTED, server | {PROCESS_TAG: json.dumps(ENDED)})
    monkeypatch.setattr(
        launcher.DagsterGrpcClient, "list_repositories", MagicMock(side_effect=DagsterUserCodeUnreachableError)
    )
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    monkeypatch.setattr(launcher, "LONGEST_AWAY_S", 0.0)
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND

"""What the daemon makes of a Ray dashboard's answers, and of none: a run that goes on gets no twin.

The dashboard is made up here, Ray's client is not. Real clusters are in ``cry_pipeline_tests/ray``.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext, WorkerStatus

from cry_pipeline.orchestration.instance import instance_config, open_instance
from cry_pipeline.settings import Settings

pytest.importorskip("ray", reason="there is no Ray for this Python")
from cry_pipeline.orchestration import ray_launcher
from cry_pipeline.orchestration.ray_launcher import RayLauncher

INFO = {"type": "SUBMISSION", "entrypoint": "", "message": "what Ray said", "submission_id": "job"}


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def any_job() -> None:
    """Never executed."""
    nothing()


class Dashboard:
    """A dashboard that answers what it is told to; None: nothing, for as long as the test lasts."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] | None = (200, INFO | {"status": "RUNNING"})
        self.asked: list[str] = []
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                version = self.path == "/api/version"
                if not version:
                    outer.asked.append(f"{self.command} {self.path.split('/', 3)[-1]}")
                if outer.answer is None:
                    outer.ended.wait(20)
                    return
                status, content = (200, {"ray_version": "2.60.0", "version": "4"}) if version else outer.answer
                body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                with suppress(BrokenPipeError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - as http.server wants it

            def log_message(self, format: str, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """Refuse connections from now on."""
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    for name in ray_launcher.OF_CLIENTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ray_launcher, "ANSWERED_S", 1.0)
    found = Dashboard()
    yield found
    found.close()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """As the daemon has it; one for all tests, each of which has a launcher of its own."""
    settings = Settings(data=tmp_path_factory.mktemp("data"), ray_dashboard="http://head:8265")
    with open_instance(settings) as opened:
        yield opened


@pytest.fixture
def launcher(instance: dg.DagsterInstance, dashboard: Dashboard) -> RayLauncher:
    shipped = instance.run_launcher
    assert isinstance(shipped, RayLauncher)
    made = RayLauncher(address=dashboard.address, num_cpus=shipped.num_cpus, patience_s=shipped.patience_s)
    made.register_instance(instance)
    return made


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that has started, as far as Dagster knows."""
    made = instance.create_run_for_job(any_job)
    event = dg.DagsterEventType.RUN_START
    instance.report_dagster_event(dg.DagsterEvent(event.value, made.job_name, message="started"), made.run_id)
    return now(instance, made)


def now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((200, INFO | {"status": "RUNNING"}), WorkerStatus.RUNNING),
        ((200, INFO | {"status": "FAILED"}), WorkerStatus.FAILED),
        ((404, "Job dagster-run-1 does not exist"), WorkerStatus.NOT_FOUND),
        ((500, "Traceback: the GCS is away"), WorkerStatus.RUNNING),
        ((503, "of a proxy before it"), WorkerStatus.RUNNING),
        ((401, "Unauthorized: Missing authentication token"), WorkerStatus.RUNNING),
        (None, WorkerStatus.RUNNING),
    ],
)
def test_only_what_ray_says_of_a_run_ends_it(
    answer: tuple[int, Any] | None,
    status: WorkerStatus,
    launcher: RayLauncher,
    run: dg.DagsterRun,
    dashboard: Dashboard,
) -> None:
    assert launcher.client  # it has answered once
    dashboard.answer = answer
    assert launcher.check_run_worker_health(run).status is status


def test_a_dashboard_that_says_nothing_for_too_long_ends_it_after_all(
    launcher: RayLauncher, run: dg.DagsterRun, dashboard: Dashboard, instance: dg.DagsterInstance
) -> None:
    dashboard.close()  # before it was ever asked
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    said = [log.message for log in instance.all_logs(run.run_id) if "does not say how the run is" in log.message]
    assert len(said) == 1
    launcher.patience_s = 0
    found = launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.UNKNOWN
    assert dashboard.address in (found.msg or "")


def test_patience_begins_anew_once_it_answers(
    launcher: RayLauncher, run: dg.DagsterRun, dashboard: Dashboard, instance: dg.DagsterInstance
) -> None:
    dashboard.answer = (500, "")
    launcher.check_run_worker_health(run)
    assert launcher._silent_since
    dashboard.answer = (200, INFO | {"status": "RUNNING"})
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert not launcher._silent_since
    assert any("Ray answers again" in log.message for log in instance.all_logs(run.run_id))


def test_a_run_that_cannot_be_asked_to_end_is_not_called_canceled(
    launcher: RayLauncher, run: dg.DagsterRun, dashboard: Dashboard, instance: dg.DagsterInstance
) -> None:
    dashboard.answer = (500, "the GCS is away")
    assert not launcher.terminate(run.run_id)
    assert now(instance, run).status is dg.DagsterRunStatus.STARTED
    assert not any(asked.startswith("POST") for asked in dashboard.asked)
    assert any("Ask again" in log.message for log in instance.all_logs(run.run_id))


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ((500, "No available agent to submit job, please try again later."), DagsterUserCodeUnreachableError),
        (None, DagsterUserCodeUnreachableError),
        ((400, "no such runtime environment"), RuntimeError),
        ((500, "ValueError: Job with submission_id dagster-run-1 already exists."), None),
        ((200, {"job_id": "job", "submission_id": "job"}), None),
    ],
)
def test_a_run_that_ray_cannot_take_now_goes_back_into_the_queue(
    answer: tuple[int, Any] | None,
    raised: type[Exception] | None,
    launcher: RayLauncher,
    instance: dg.DagsterInstance,
    dashboard: Dashboard,
) -> None:
    from cry_pipeline.orchestration.code_location import origins

    remote, code = origins("any_job")
    made = instance.create_run_for_job(any_job, remote_job_origin=remote, job_code_origin=code)
    assert launcher.client
    dashboard.answer = answer
    context = LaunchRunContext(dagster_run=made, workspace=None)
    if raised is None:
        launcher.launch_run(context)
        return
    with pytest.raises(raised) as caught:
        launcher.launch_run(context)
    assert isinstance(caught.value, DagsterUserCodeUnreachableError) == (raised is DagsterUserCodeUnreachableError)


def test_an_address_that_ray_would_prefer_is_refused(
    launcher: RayLauncher, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ValueError, match="RAY_ADDRESS is set where the daemon"):
        launcher.check_run_worker_health(run)


def test_a_run_on_a_cluster_is_never_resumed_and_its_start_may_take_a_nodes_start() -> None:
    config = instance_config(in_database=True, ray_dashboard="http://head:8265")
    assert config["run_launcher"]["config"]["ray"]["address"] == "http://head:8265"
    assert config["run_launcher"]["config"]["ray"]["num_cpus"] >= 1, "else it would be the head that executes runs"
    assert config["run_monitoring"]["max_resume_run_attempts"] == 0
    assert config["run_monitoring"]["max_runtime_seconds"] > config["run_monitoring"]["start_timeout_seconds"] >= 1200
    assert config["run_retries"]["enabled"]
    local = instance_config(in_database=True)
    assert {name for name in config if config[name] != local.get(name)} == {"run_launcher", "run_monitoring"}

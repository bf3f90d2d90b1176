"""PostgreSQL, code server and daemon of an installation whose runs are executed on a Ray cluster.

Belongs here: starting and ending them, asking for runs, and what came of those. Does not: the cluster (clusters.py).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from cry_pipeline.orchestration.instance import DEPLOY
from cry_pipeline_tests.orchestration.installations import Installation
from cry_pipeline_tests.processes import heed_ctrl_c, wait_until
from cry_pipeline_tests.ray.clusters import Cluster
from cry_pipeline_tests.ui.installed import COMMAND, free_port
from cry_pipeline_tests.ui.installed import environment as environment_of

BIN = Path(sys.executable).parent
CODE_PORT = 4266
PATIENCE_S = 240
POSTGRES = Path("/usr/lib/postgresql/15/bin")
MINUTE = 60.0
LOCATION = '''
"""The code location as it is, and two jobs: one that lasts until a file is there, and one that fails."""

import dagster as dg

from cry_pipeline.definitions import build_definitions
from cry_pipeline.orchestration.executor import one_writer
from cry_pipeline.settings import load_settings
from cry_pipeline_tests.processes import wait_until

SETTINGS = load_settings()


@dg.op
def last(context: dg.OpExecutionContext) -> None:
    context.log.info("begins to last")
    with (SETTINGS.data / "lasted").open("a") as file:
        file.write(context.run_id + " begun\\n")
    wait_until((SETTINGS.data / "end").exists, "the test ends the op", 1200)
    with (SETTINGS.data / "lasted").open("a") as file:
        file.write(context.run_id + " ended\\n")


@dg.op
def fail() -> None:
    raise ValueError("as the test wants")


@dg.job(executor_def=one_writer(SETTINGS))
def lasts() -> None:
    last()


@dg.job(executor_def=one_writer(SETTINGS))
def fails() -> None:
    fail()


def with_the_two(real: dg.Definitions) -> dg.Definitions:
    return dg.Definitions(
        assets=real.assets,
        asset_checks=real.asset_checks,
        jobs=[*(real.jobs or ()), lasts, fails],
        resources=real.resources,
        executor=real.executor,
    )


defs = with_the_two(build_definitions(SETTINGS))
'''


@dataclass
class Deployment:
    """An installation, the cluster that its runs are executed on, and the processes between the two."""

    installation: Installation
    cluster: Cluster
    folder: Path
    environment: dict[str, str]

    def ask_for(self, job: str) -> str:
        """Put a run of ``job`` into the queue, as the UI does; return its id."""
        command = [BIN / "dagster", "job", "launch", "-w", DEPLOY / "workspace.yaml", "-j", job]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.runs()[-1].run_id

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the instance as the daemon has it."""
        names = {"DAGSTER_HOME", "CRY_PIPELINE_DATABASE_URL", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
        kept = {name: value for name, value in self.environment.items() if name in names}
        with _environment(kept), dg.DagsterInstance.get() as instance:
            yield instance

    def runs(self) -> list[dg.DagsterRun]:
        """Return all runs, the first one first."""
        with self.instance() as instance:
            return list(instance.get_runs())[::-1]

    def said(self, run: str) -> list[str]:
        """Return all that is on record of a run."""
        with self.instance() as instance:
            return [said_in(log) for log in instance.all_logs(run)]

    def has_said(self, run: str, words: str) -> bool:
        """Whether something of a run's record holds ``words``."""
        return any(words in line for line in self.said(run))

    def wait_for(self, run: str, state: str, minutes: float = 10.0) -> float:
        """Return the seconds until a run is in ``state``; fail, with all that is known, where it ends otherwise."""
        began = time.monotonic()

        def is_there() -> bool:
            with self.instance() as instance:
                found = instance.get_run_by_id(run)
            assert found is not None
            now = found.status.value
            assert now == state or not found.is_finished, f"{now}, not {state}: {self.said(run)}"
            return now == state

        wait_until(is_there, f"run {run[:8]} is in state {state}", minutes * MINUTE)
        return time.monotonic() - began

    def wait_for_retry(self, run: str, minutes: float = 10.0) -> str:
        """Return the run that the daemon has asked for in place of ``run``, once there is one."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [other.run_id for other in self.runs() if other.parent_run_id == run]
            return bool(found)

        wait_until(is_there, f"run {run[:8]} is tried again", minutes * MINUTE)
        return found[0]

    def job_id(self, run: str) -> str:
        """Return what Ray calls the run."""
        return f"dagster-run-{run}"


def said_in(log: dg.EventLogEntry) -> str:
    """Return the words of an event, and of the error that it tells of with its causes."""
    event = log.dagster_event
    error = getattr(event.event_specific_data, "error", None) if event else None
    words = log.message or (event.message if event else "") or ""
    return f"{words}\n{error.to_string()}" if error else words


@contextmanager
def _environment(names: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def postgres(folder: Path, address: str) -> Iterator[str]:
    """Run a PostgreSQL in ``folder``; yield its URL at ``address``."""
    data, port = folder / "postgres", free_port()
    data.mkdir(mode=0o700)
    os.chown(data, 65534, 65534)  # it refuses to be run by root
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "cwd": data, "extra_groups": []}
    initdb = [POSTGRES / "initdb", "-D", data, "-U", "cry", "--auth=trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, **nobody, check=True, capture_output=True)
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 0.0.0.0/0 trust\n")
    command = [POSTGRES / "postgres", "-D", data, "-p", str(port), "-h", "0.0.0.0", "-k", data, "-F"]  # noqa: S104
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(command, **nobody, stdout=log, stderr=log)
        try:
            url = f"postgresql+psycopg2://cry@{address}:{port}/postgres"
            ready = [POSTGRES / "pg_isready", "-h", address, "-p", str(port)]
            wait_until(lambda: subprocess.run(ready, capture_output=True).returncode == 0, "PostgreSQL answers", MINUTE)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def deployed(installation: Installation, cluster: Cluster, folder: Path, url: str) -> Iterator[Deployment]:
    """Prepare the shipped configuration, with less patience, and start code server and daemon."""
    environment = {
        **cluster.environment,
        "CRY_PIPELINE_DATABASE_URL": url,
        "CRY_PIPELINE_RAY_DASHBOARD": cluster.dashboard,
        "CRY_PIPELINE_CODE_SERVER_HOST": cluster.gateway,
    }
    deployment = Deployment(installation, cluster, folder, environment)
    subprocess.run([COMMAND, "deploy", "prepare"], env=environment, check=True)
    _hasten(installation.settings.dagster_home / "dagster.yaml")
    (folder / "location.py").write_text(LOCATION)
    serving = ["-h", cluster.gateway, "-p", str(CODE_PORT), "--location-name", "cry_pipeline.definitions"]
    with ExitStack() as stack:
        serve = [str(BIN / "dagster"), "code-server", "start", "-f", str(folder / "location.py"), *serving]
        _start(stack, "code-server", serve, deployment)
        check = [BIN / "dagster", "api", "grpc-health-check", "--host", cluster.gateway, "--port", str(CODE_PORT)]
        wait_until(
            lambda: subprocess.run(check, env=environment, capture_output=True).returncode == 0,
            "the code server answers",
            5 * MINUTE,
        )
        _start(stack, "daemon", [str(COMMAND), "deploy", "daemon"], deployment)
        yield deployment


def _hasten(path: Path) -> None:
    """Let the daemon look every five seconds instead of 30, and be patient for four minutes instead of ten."""
    config = yaml.safe_load(path.read_text())
    config["run_monitoring"] |= {"poll_interval_seconds": 5, "cancel_timeout_seconds": 120}
    config["run_queue"] |= {"user_code_failure_retry_delay": 5}
    config["run_launcher"]["config"]["patience_s"] = PATIENCE_S
    path.write_text(yaml.safe_dump(config))


def _start(stack: ExitStack, name: str, command: list[str], deployment: Deployment) -> None:
    log = stack.enter_context((deployment.folder / f"{name}.log").open("ab"))
    process = subprocess.Popen(
        command, env=deployment.environment, stdout=log, stderr=log, preexec_fn=heed_ctrl_c, start_new_session=True
    )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def nodes_environment(installation: Installation) -> dict[str, str]:
    """Return what a node of the cluster is started with: what its runs are to know, but for the database."""
    root = str(Path(__file__).parents[2])
    home = str(installation.settings.dagster_home)
    # A run's job begins with the word `dagster`, which its node has to find.
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**environment_of(installation.settings), "DAGSTER_HOME": home, "PYTHONPATH": root, "PATH": path}

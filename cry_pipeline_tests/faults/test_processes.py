"""Whole processes, as people start them: side by side on one data folder, killed, interrupted. With `make faults`."""

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
import yaml
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus
from cry_pipeline.orchestration.dead_runs import process_of
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.settings import Settings
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.orchestration.installations import shrunk_catalog
from cry_pipeline_tests.processes import heed_ctrl_c, is_alive, wait_until

pytestmark = pytest.mark.skipif(not FULL, reason="minutes; with CRY_PIPELINE_FAULTS=full")
COMMAND = [sys.executable, "-c", "from cry_pipeline.command.main import main; main()"]
MINUTES = 60.0
Status = dg.DagsterRunStatus
Start = Callable[..., subprocess.Popen[str]]


class Place(NamedTuple):
    """An installation with what its commands are to find in the environment."""

    settings: Settings
    environment: dict[str, str]


EXPERIMENTS = {"cleaned_majority_donor_grouped", "curation_lfeb_attention_lstm_donor_grouped"}
FEATURE_SET = "mel64_8k"


def least_catalog(folder: Path, experiments: set[str], champion: str | None) -> Path:
    """Write a catalog of one feature set and ``experiments``: a network trains side by side for some seconds."""
    shrunk_catalog(folder)
    for section, kept in (("experiments", experiments), ("feature_sets", {FEATURE_SET})):
        path = folder / f"{section}.yaml"
        entries = {name: entry for name, entry in yaml.safe_load(path.read_text()).items() if name in kept}
        assert entries.keys() == kept
        path.write_text(yaml.safe_dump(entries))
    (folder / "champion.yaml").write_text(yaml.safe_dump({"cry": [champion] if champion else []}))
    return folder


def place_at(folder: Path, experiments: set[str], champion: str | None = None) -> Place:
    """Make an installation below ``folder``."""
    settings = Settings(
        data=folder / "data",
        corpus=generate_corpus(folder / "corpus", **TINY),
        catalog=least_catalog(folder / "catalog", experiments, champion),
        workers=2,
        batch_recordings=8,
        accelerator="cpu",
    )
    given = settings.model_dump(
        mode="json", include={"data", "corpus", "catalog", "workers", "batch_recordings", "accelerator"}
    )
    return Place(settings, os.environ | {f"CRY_PIPELINE_{name.upper()}": str(value) for name, value in given.items()})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_at(tmp_path, EXPERIMENTS)  # none of these can be exported in no time


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """``start("run", …)``: start a command, in a group of its own as a terminal does; all are killed at last."""
    with ExitStack() as stack:

        def started(*arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*COMMAND, *arguments],
                    env=place.environment,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    preexec_fn=heed_ctrl_c,
                )
            )
            stack.callback(process.kill)
            return process

        yield started


@pytest.fixture
def client(start: Start) -> Iterator[tuple[DagsterGraphQLClient, subprocess.Popen[str]]]:
    """A client of a running UI, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, site_port = (free.getsockname()[1] for free in (one, other))
    ui = start("ui", "--port", str(port), "--site-port", str(site_port))
    # Somebody has to read what it says, or it would wait at some time.
    drain = subprocess.Popen(["cat"], stdin=ui.stderr, stdout=subprocess.DEVNULL)
    yield DagsterGraphQLClient("127.0.0.1", port_number=port), ui
    ui.send_signal(signal.SIGTERM)
    ui.wait(2 * MINUTES)
    drain.wait(MINUTES)


def launched(client: DagsterGraphQLClient, job: str) -> str:
    """Launch a job as the UI does, once it answers and the code is loaded; return the run's id."""
    found: list[str] = []

    def accepted() -> bool:
        try:
            found.append(client.submit_job_execution(job))
        except DagsterGraphQLClientError:
            return False
        return True

    wait_until(accepted, "the job is launched", 8 * MINUTES)
    return found[0]


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus | None:
    run = instance.get_run_by_id(run_id)
    return run.status if run else None


def working_time(instance: dg.DagsterInstance, run_id: str) -> tuple[float, float]:
    """When the first step of a run began, and the last one ended."""
    logs = [log for log in instance.all_logs(run_id) if log.is_dagster_event and log.get_dagster_event().is_step_event]
    return min(log.timestamp for log in logs), max(log.timestamp for log in logs)


def versions(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """The data version of each asset that a run materialized."""
    found = {}
    for log in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = log.asset_materialization
        assert made is not None
        assert made.tags is not None
        found[made.asset_key.to_user_string()] = made.tags["dagster/data_version"]
    return found


def test_two_commands_and_a_run_of_the_ui_take_turns_and_make_the_same(place: Place, start: Start, client) -> None:
    commands = [start("run"), start("run")]
    of_ui = launched(client[0], "everything")
    said = [command.communicate(timeout=20 * MINUTES)[1] for command in commands]
    assert [command.returncode for command in commands] == [0, 0], said
    with open_instance(place.settings) as instance:
        wait_until(lambda: status_of(instance, of_ui) is Status.SUCCESS, "the run of the UI ends", 10 * MINUTES)
        runs = [run for run in instance.get_runs() if run.job_name == "everything"]
        assert len(runs) == 3
        times = sorted(working_time(instance, run.run_id) for run in runs)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(times)), times
        made = [versions(instance, run.run_id) for run in runs]
        assert made[0] == made[1] == made[2]
    assert any("Waiting for " in text for text in said)


def pid_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    run = instance.get_run_by_id(run_id)
    process = process_of(run) if run else None
    return process.pid if process else None


def test_a_run_whose_process_is_killed_is_failed_and_launched_again(place: Place, client) -> None:
    with open_instance(place.settings) as instance:
        first = launched(client[0], "everything")
        wait_until(lambda: pid_of(instance, first), "the run says which process it is", 5 * MINUTES)
        os.kill(pid_of(instance, first) or 0, signal.SIGKILL)
        wait_until(lambda: status_of(instance, first) is Status.FAILURE, "the run is failed", 3 * MINUTES)

        def retried() -> bool:
            again = [run for run in instance.get_runs() if run.parent_run_id == first]
            return any(run.status is Status.SUCCESS for run in again)

        wait_until(retried, "the run is launched again and ends well", 15 * MINUTES)


def test_a_run_that_is_killed_with_its_code_server_is_not_started_for_ever(place: Place, client) -> None:
    with open_instance(place.settings) as instance:
        run = launched(client[0], "everything")
        wait_until(lambda: pid_of(instance, run), "the run says which process it is", 5 * MINUTES)
        process = pid_of(instance, run) or 0
        table = subprocess.run(["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True, check=True)
        os.kill(int(table.stdout), signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: status_of(instance, run) is Status.FAILURE, "the run is failed", 3 * MINUTES)


def test_a_killed_ui_leaves_no_process_behind(client) -> None:
    ui = client[1]
    wait_until(lambda: len(descendants(ui.pid)) >= 5, "all services start", 4 * MINUTES)
    family = descendants(ui.pid)
    ui.kill()
    wait_until(lambda: not any(map(is_alive, family)), "all that it started ends", 3 * MINUTES)


def test_a_killed_run_leaves_no_process_behind_and_its_record_is_mended(place: Place, start: Start) -> None:
    run = start("run")
    with open_instance(place.settings) as instance:
        wait_until(lambda: workers(run.pid), "folds are trained side by side", 15 * MINUTES)
        family = descendants(run.pid)
        run.kill()
        wait_until(lambda: not any(map(is_alive, family)), "its workers end", MINUTES)
        (killed,) = instance.get_runs()
        assert killed.status is Status.STARTED
        again = start("run")
        assert again.communicate(timeout=15 * MINUTES)[1]
        assert again.returncode == 0
        assert status_of(instance, killed.run_id) is Status.FAILURE


def test_an_interrupted_run_says_what_is_kept_and_is_recorded_as_canceled(place: Place, start: Start) -> None:
    run = start("run")
    wait_until(lambda: workers(run.pid), "folds are trained side by side", 15 * MINUTES)
    family = descendants(run.pid)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=2 * MINUTES)[1]
    assert run.returncode == 130
    assert "Stopped. What was finished is kept" in said
    assert "Traceback" not in said
    wait_until(lambda: not any(map(is_alive, family)), "its workers end", MINUTES)
    with open_instance(place.settings) as instance:
        assert [found.status for found in instance.get_runs()] == [Status.CANCELED]


def descendants(pid: int) -> set[int]:
    """All processes that ``pid`` started, and those that they did."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in table.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def workers(pid: int) -> list[str]:
    """What joblib started under ``pid`` for work side by side."""
    family = ",".join(map(str, descendants(pid))) or str(pid)
    said = subprocess.run(["ps", "-o", "args=", "-p", family], capture_output=True, text=True, check=False).stdout
    return [line for line in said.splitlines() if "popen_loky" in line]

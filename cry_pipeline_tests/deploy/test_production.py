"""The shipped deployment, as processes on real PostgreSQL: undisturbed, and with each of its parts taken away.

Some minutes, with ``make test-deploy``. After each fault the data folder holds what it holds undisturbed, each data
version is the same, and nobody did anything but what compose.yaml's ``restart`` does.
"""

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from cry_pipeline.orchestration.dead_runs import process_of
from cry_pipeline.orchestration.launcher import SETTLED_S
from cry_pipeline_tests.deploy.machine import MINUTES
from cry_pipeline_tests.deploy.production import SERVICES, Production, Status
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.faults.test_processes import status_of, working_time
from cry_pipeline_tests.processes import wait_until
from cry_pipeline_tests.ray.deployment import said_in

pytestmark = pytest.mark.deploy
AWAY_S = 300.0 if FULL else 30.0
"""How long a code server stays away."""
DATABASE_AWAY_S = 180.0 if FULL else 0.0
"""How long the database stays away; 0: as long as it takes to start it again."""
RESTART_S = 15.0
"""After how long a service that ended is started again."""


def test_undisturbed_run_makes_all_and_a_second_one_computes_nothing(production: Production, counted) -> None:
    assert len(production.versions) > 10
    assert any(name.startswith("features/") for name in production.contents)
    began = time.monotonic()
    again = production.ask()
    production.wait_for(again, Status.SUCCESS)
    counted(**production.check_nothing_is_lost(again), seconds_of_a_run_that_reuses_all=round(time.monotonic() - began))
    for service in SERVICES:
        assert production.machine.is_healthy(service)


def test_a_killed_run_is_failed_launched_again_and_makes_the_same(production: Production, counted) -> None:
    production.forget_results()
    run_id = production.ask()
    production.wait_for_middle(run_id)
    run = production.instance.get_run_by_id(run_id)
    process = process_of(run) if run else None
    assert process is not None
    os.kill(production.machine.host_pid(process.pid, process.numbered_in), signal.SIGKILL)
    noticed = production.wait_for(run_id, Status.FAILURE, 3 * MINUTES)
    again = production.retry_of(run_id).run_id
    recovered = production.wait_for(again, Status.SUCCESS)
    counted(
        **production.check_nothing_is_lost(run_id, again),
        seconds_until_noticed=round(noticed),
        seconds_to_recover=round(noticed + recovered),
    )


def test_a_code_server_that_is_killed_in_the_middle_of_a_run_and_comes_back(production: Production, counted) -> None:
    production.forget_results()
    run_id = production.ask()
    production.wait_for_middle(run_id)
    began = time.monotonic()
    production.machine.running["code-server"].kill()
    time.sleep(AWAY_S)
    # Dagster launches a run again once, at the moment it is failed: not before there is somebody to launch it.
    assert status_of(production.instance, run_id) is Status.STARTED
    back = production.machine.start_healthy("code-server")
    noticed = production.wait_for(run_id, Status.FAILURE, SETTLED_S + 3 * MINUTES)
    again = production.retry_of(run_id).run_id
    production.wait_for(again, Status.SUCCESS)
    counted(
        **production.check_nothing_is_lost(run_id, again),
        seconds_away=round(AWAY_S),
        seconds_until_back=round(back),
        seconds_until_failed_after_that=round(noticed),
        seconds_to_recover=round(time.monotonic() - began - AWAY_S),
    )
    assert again in {run.run_id for run in production.instance.get_runs(limit=1)}


def test_a_daemon_that_is_killed_stops_no_run_and_goes_on_when_it_is_back(production: Production, counted) -> None:
    production.forget_results()
    first = production.ask()
    production.wait_for_middle(first)
    production.machine.running["daemon"].kill()
    second = production.ask()
    time.sleep(RESTART_S)
    production.wait_for(first, Status.SUCCESS)
    assert status_of(production.instance, second) is Status.QUEUED
    back = production.machine.start_healthy("daemon")
    waited = production.wait_for(second, Status.SUCCESS)
    counted(
        **production.check_nothing_is_lost(second), seconds_until_back=round(back), seconds_of_the_run=round(waited)
    )


def test_a_database_that_goes_away_under_load_loses_nothing(production: Production, counted) -> None:
    production.forget_results()
    run_id = production.ask()
    production.wait_for_middle(run_id)
    began = time.monotonic()
    production.machine.stop_database()
    time.sleep(DATABASE_AWAY_S)
    production.machine.start_database()
    away = time.monotonic() - began
    wait_until(
        lambda: production.asked(lambda: status_of(production.instance, run_id) in (Status.SUCCESS, Status.FAILURE)),
        "the run ends",
        8 * MINUTES,
    )
    ids = [run_id]
    if status_of(production.instance, run_id) is Status.FAILURE:
        ids.append(production.retry_of(run_id).run_id)
        production.wait_for(ids[-1], Status.SUCCESS)
    recovered = time.monotonic() - began
    for name in SERVICES:
        wait_until(lambda name=name: production.machine.is_healthy(name), f"{name} is healthy again", 5 * MINUTES)
    counted(
        **production.check_nothing_is_lost(*ids),
        seconds_away=round(away),
        seconds_until_the_run_was_done=round(recovered),
        runs_launched_again=len(ids) - 1,
    )


def test_a_second_daemon_is_refused_and_takes_over_when_the_first_ends(production: Production, counted) -> None:
    first = production.machine.running["daemon"]
    second = production.machine.start("daemon-2", first.shipped)
    assert second.process.wait(2 * MINUTES) == 1
    assert (
        "Another daemon works on the database cry_pipeline on database: cry_pipeline daemon 1 on daemon"
        in second.said()
    )
    assert production.machine.is_healthy("daemon")
    first.kill()
    took_over = production.machine.start_healthy("daemon")
    counted(daemons_refused=1, seconds_until_another_works=round(took_over))


def test_two_runs_that_are_asked_for_at_once_take_turns(production: Production, counted) -> None:
    production.forget_results()
    ids = [production.ask(), production.ask()]
    for run_id in ids:
        production.wait_for(run_id, Status.SUCCESS)
    times = sorted(working_time(production.instance, run_id) for run_id in ids)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(times)), times
    for run_id in ids:
        production.check_nothing_is_lost(run_id)
    counted(**production.check_nothing_is_lost(*ids), runs_at_once=0)


def test_a_full_disk_fails_the_run_in_a_sentence_and_leaves_nothing_by_half(production: Production, counted) -> None:
    production.forget_results()
    data = production.settings.data
    production.machine.resize_disk(_used_kib(data) + 256)
    run_id = production.ask()
    production.wait_for(run_id, Status.FAILURE)
    said = [said_in(log) for log in production.instance.all_logs(run_id)]
    assert any("No space left on device" in words for words in said), said
    production.machine.resize_disk(4 << 20)
    again = production.ask()
    production.wait_for(again, Status.SUCCESS)
    counted(**production.check_nothing_is_lost(run_id, again), refused=1)


def _used_kib(folder: Path) -> int:
    return sum(path.stat().st_blocks // 2 for path in folder.rglob("*"))

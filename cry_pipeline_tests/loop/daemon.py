"""The real daemon with its code server and runs, on patience of seconds instead of minutes and weeks.

Belongs here: starting and ending it, and asking what came of it. Does not: the steps (__main__.py).
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline_tests.loop.world import World

LOCATION = '''
"""The code location as it is, but for its patience: sensors look every few seconds, each minute begins a day."""

from datetime import timedelta

from cry_pipeline.orchestration import automation, judging, retraining

retraining.RETRAINING_S = 5
retraining.CRONS = dict.fromkeys(retraining.CRONS, "* * * * *")
judging.QUIET = timedelta(seconds=20)
for sensor in (automation.inbox_sensor, judging.judging_sensor):
    sensor._min_interval = 5

from cry_pipeline.definitions import build_definitions
from cry_pipeline.settings import load_settings

defs = build_definitions(load_settings())
'''
ENDED = ("SUCCESS", "FAILURE", "CANCELED")


class LoopError(RuntimeError):
    """Something that was to happen by itself did not; the message says what."""


@contextmanager
def daemon(world: World, *, retraining: str) -> Iterator[None]:
    """Run the daemon of ``world``; ``retraining`` is the setting. What it says is in ``daemon.log``."""
    folder = world.settings.data.parent
    location, log = folder / "location.py", folder / "daemon.log"
    location.write_text(LOCATION, encoding="utf-8")
    # On a busy machine a run's process takes longer to start than Dagster's minute.
    patience = {"DAGSTER_GRPC_TIMEOUT_SECONDS": "600"}
    environment = world.environment | patience | {"CRY_PIPELINE_RETRAINING": retraining}
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-f", str(location)]
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def wait_for(happened: Callable[[], object], what: str, world: World, minutes: float = 30.0) -> float:
    """Return the seconds until ``happened``, or say that ``what`` did not, and which runs there were."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > minutes * 60:
            runs = ", ".join(f"{job} {status}" for job, status in runs_of(world))
            raise LoopError(f"after {minutes:.0f} minutes: {what}: has not happened; runs: {runs or 'none'}")
        time.sleep(1)
    return time.monotonic() - began


def runs_of(world: World) -> list[tuple[str, str]]:
    """Return job and status of all runs, the first one first."""
    with open_instance(world.settings) as instance:
        return [(run.job_name, run.status.value) for run in instance.get_runs()][::-1]


def is_idle(world: World) -> bool:
    """Return whether no run is in progress."""
    return all(status in ENDED for _, status in runs_of(world))


def made(world: World, key: dg.AssetKey) -> int:
    """Return how often an asset was made."""
    with open_instance(world.settings) as instance:
        return len(instance.fetch_materializations(key, limit=100).records)

"""The web server and the daemon: started together, and ended together.

Belongs here: what `cry-pipeline ui` does. Does not: the command line itself, nor what the daemon then runs.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cry_pipeline.orchestration.dead_runs import mark_dead_runs
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.lock import hold
from cry_pipeline.settings import Settings

PR_SET_PDEATHSIG = 1
PATIENCE_S = 2.0
"""How long services and runs have to end when asked to."""


def serve(settings: Settings, host: str, port: int) -> int:
    """Serve the UI and let the daemon work until they end, or KeyboardInterrupt is raised; return their exit code.

    A second one on the same data would ask for everything twice. Runs of before whose process has died are marked as
    failed first. All processes that were started end with this one, however it does.

    Raises:
        BusyError: the UI of this data folder is running already.
    """
    home = settings.dagster_home.resolve()
    with hold(home / ".ui.lock", "`cry-pipeline ui`", wait_s=0):
        with open_instance(settings) as instance:
            mark_dead_runs(instance)
        os.environ["CRY_PIPELINE_DATA"] = str(settings.data.resolve())
        dagster = Path(sys.executable).with_name("dagster")
        command = [str(dagster), "dev", "-m", "cry_pipeline.definitions", "-h", host, "-p", str(port)]
        # A group of their own, so that whatever they start can be ended with them.
        with subprocess.Popen(command, start_new_session=True, preexec_fn=_told_when_parent_dies()) as services:  # noqa: S603
            try:
                return services.wait()
            finally:
                _end_group(services)


def _end_group(services: subprocess.Popen[bytes]) -> None:
    """Ask the services, and what is left of their group, such as a run, to end; kill what has not soon.

    Runs bear it, and :func:`serve` will call them failed.
    """
    until = time.monotonic() + PATIENCE_S
    with suppress(ProcessLookupError):  # nothing is left
        os.killpg(services.pid, signal.SIGTERM)  # to Dagster the same as Ctrl-C, and quiet while it is being loaded
        while time.monotonic() < until:
            time.sleep(0.1)
            services.poll()  # or it would be there until somebody asks after it
            os.killpg(services.pid, 0)
        os.killpg(services.pid, signal.SIGKILL)


def _told_when_parent_dies() -> Callable[[], None] | None:
    """Return what a child calls to get SIGTERM, which ends the services in order, when its parent is killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

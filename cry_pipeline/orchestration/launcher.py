"""How the daemon and the UI start, watch and stop a run on this machine.

Belongs here: what Dagster's own launcher leaves out, whether a run's process is alive. Does not: what it executes.
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

from cry_pipeline.orchestration.dead_runs import process_of
from cry_pipeline.orchestration.instance import signs_of_life
from cry_pipeline.orchestration.lock import is_alive_in

SETTLED_S = 90.0
"""How long a code server has to have answered; the daemon looks each minute what it has loaded."""
LONGEST_AWAY_S = 3600.0


@dataclass
class Lost:
    """A run whose process has ended: since when that is known, and since when its code server has answered."""

    since: float
    answered: float | None = None


class LocalRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, which in addition notices a dead process, and can stop a `cry-pipeline run`, too.

    With one run at a time, a dead one that counts as started would keep all others waiting.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether :meth:`check_run_worker_health` is there: the monitoring daemon then asks it."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of ``run`` is alive, as far as can be known from here."""
        process = process_of(run)
        # In another container, it cannot be asked for by its number.
        if process is None or not (process.is_dead() or is_alive_in(signs_of_life(self._instance), process) is False):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if not self._can_be_launched_again(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process has ended; its code server is not back yet")
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"process {process.pid} on {process.host} has ended")

    def _can_be_launched_again(self, run: dg.DagsterRun) -> bool:
        """Whether Dagster, told now that ``run`` failed, could launch it again: it tries that once, and never more.

        For that the daemon has to have seen, too, that the code server is back.
        """
        info = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        now = time.monotonic()
        known = self._lost.setdefault(run.run_id, Lost(since=now))
        if "port" not in info or now - known.since > LONGEST_AWAY_S:
            return True  # of no server that comes back at the same address
        try:
            DagsterGrpcClient(host=info["host"], port=info["port"]).list_repositories()
        except DagsterUserCodeUnreachableError:
            known.answered = None
            return False
        known.answered = now if known.answered is None else known.answered
        return now - known.answered > SETTLED_S

    @cached_property
    def _lost(self) -> "dict[str, Lost]":
        return {}

    def terminate(self, run_id: str) -> bool:
        """Ask the process of a run to end; return whether it was there to be asked."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or self._get_grpc_client_for_termination(run_id) is not None:
            return super().terminate(run_id)
        process = process_of(run)
        if process is None or not process.can_be_asked or process.is_dead():
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)
        os.kill(process.pid, signal.SIGINT)
        return True

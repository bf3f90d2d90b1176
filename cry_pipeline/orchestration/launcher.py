"""How the daemon and the UI start, watch and stop a run on this machine.

Belongs here: what Dagster's own launcher leaves out, whether a run's process is alive. Does not: what it executes.
"""

import os
import signal

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from cry_pipeline.orchestration.dead_runs import process_of
from cry_pipeline.orchestration.lock import Process


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
        if process is not None and process.is_dead():
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"process {process.pid} has ended")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def terminate(self, run_id: str) -> bool:
        """Ask the process of a run to end; return whether it was there to be asked."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or self._get_grpc_client_for_termination(run_id) is not None:
            return super().terminate(run_id)
        process = process_of(run)
        if process is None or process.host != Process.this().host or process.is_dead():
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)
        os.kill(process.pid, signal.SIGINT)
        return True

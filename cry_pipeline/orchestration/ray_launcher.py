"""How the daemon starts, watches and stops a run on a Ray cluster.

Belongs here: what dagster-ray's launcher leaves open while Ray's dashboard does not answer. Does not: what a run
executes, nor work spread over the cluster from within one (engine/).
"""

import functools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

try:
    from dagster_ray.core.run_launcher import RayRunLauncher, get_job_submission_id_from_run_id
except ImportError as error:
    raise ImportError(
        "dagster.yaml asks for runs on Ray, which is not installed here: install cry-pipeline[ray] (there is no Ray "
        "for Python 3.14 yet), or use the dagster.yaml without it"
    ) from error

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ANSWERED_S = 30.0
"""A dashboard that takes longer for an answer hangs; Ray's own client would wait for ever, and the daemon with it."""
PATIENCE_S = 600
OF_CLIENTS = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
GONE = "does not exist"
"""What Ray says of a job that it does not know."""
THERE = "already exists"
INTERNAL = "status code 5"
"""Something is wrong with Ray, not with what it was asked."""


class RayUnreachableError(DagsterUserCodeUnreachableError):
    """Ray's dashboard does not answer. Dagster puts a run back into its queue on errors of this class, and on no other;
    how often is `max_user_code_failure_retries` of the run coordinator."""


class RayLauncher(RayRunLauncher):
    """dagster-ray's launcher, but a dashboard that does not answer is no evidence that a run has ended.

    dagster-ray takes most errors of the dashboard for a run's end: Dagster would start a twin of a run that goes on.
    Here a run is taken for alive until Ray has said otherwise, or has said nothing for ``patience_s``.
    """

    def __init__(self, *, patience_s: int = PATIENCE_S, **ray: Any) -> None:
        self.patience_s = patience_s
        self._silent_since: dict[str, float] = {}
        super().__init__(**ray)

    @classmethod
    def config_type(cls) -> Any:
        """Return what may stand below ``config`` in dagster.yaml."""
        said = "Seconds for which a run is taken for alive while Ray's dashboard does not answer."
        patience = dg.Field(int, default_value=PATIENCE_S, is_required=False, description=said)
        return {**super().config_type(), "patience_s": patience}  # pyright: ignore[reportGeneralTypeIssues]

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "RayLauncher":
        """Return the launcher that dagster.yaml describes."""
        return cls(inst_data=inst_data, patience_s=config_value["patience_s"], **config_value["ray"])

    @functools.cached_property
    def client(self) -> "JobSubmissionClient":
        """Ray's client of the configured address, which gives up on a dashboard that hangs."""
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        for name in OF_CLIENTS:
            if os.environ.get(name):
                raise ValueError(
                    f"{name} is set where the daemon or the webserver runs, and Ray would submit runs there instead of "
                    f"at {self.address}: unset it. Runs get it from Ray."
                )

        class Impatient(JobSubmissionClient):
            def _do_request(self, method: str, endpoint: str, **rest: Any) -> Any:
                try:
                    return super()._do_request(method, endpoint, timeout=ANSWERED_S, **rest)
                except AuthenticationError as error:
                    raise PermissionError(str(error)) from error  # an OSError: nothing is said of the run by that

        return Impatient(self.address, metadata=self.metadata, headers=self.headers, cookies=self.cookies)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Submit the run to Ray; one that Ray has already, as the answer to an earlier try was lost, is there.

        Raises:
            RayUnreachableError: the dashboard does not answer; the run goes back into the queue.
        """
        try:
            super().launch_run(context)
        except OSError as error:
            raise RayUnreachableError(f"Ray at {self.address} does not answer: {_in_short(error)}") from error
        except RuntimeError as error:
            if THERE not in str(error):
                if INTERNAL in str(error):
                    raise RayUnreachableError(f"Ray at {self.address} cannot take the run: {error}") from error
                raise
            self._instance.report_engine_event("Ray has the job of this run already.", context.dagster_run)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the job of ``run`` is alive, as far as Ray says; alive while it says nothing."""
        try:
            found = super().check_run_worker_health(run)
        except OSError as error:
            return self._unsaid(run, _in_short(error))
        if found.status is WorkerStatus.UNKNOWN:
            if GONE not in (found.msg or ""):
                return self._unsaid(run, (found.msg or "").strip().splitlines()[0][:300])
            found = CheckRunHealthResult(WorkerStatus.NOT_FOUND, "Ray knows no such job: its head was started anew")
        if self._silent_since.pop(run.run_id, None) is not None:
            self._instance.report_engine_event("Ray answers again.", run)
        return found

    def _unsaid(self, run: dg.DagsterRun, why: str) -> CheckRunHealthResult:
        now = time.monotonic()
        silent_s = now - self._silent_since.setdefault(run.run_id, now)
        if silent_s >= self.patience_s:
            del self._silent_since[run.run_id]
            return CheckRunHealthResult(
                WorkerStatus.UNKNOWN, f"Ray at {self.address} has said nothing for {silent_s:.0f} s ({why})"
            )
        if not silent_s:
            self._instance.report_engine_event(
                f"Ray at {self.address} does not say how the run is ({why}). It is taken for alive for "
                f"{self.patience_s} s.",
                run,
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING, why)

    def terminate(self, run_id: str) -> bool:
        """Ask Ray to stop the job of a run; return whether it was there to be stopped, and Ray could be asked.

        A run that could not be asked is not called canceled: it goes on.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        unasked = self._unasked(lambda: self.client.get_job_info(get_job_submission_id_from_run_id(run_id)))
        if unasked:
            self._instance.report_engine_event(
                f"Not stopped: Ray at {self.address} does not answer ({unasked}). Ask again when it does.", run
            )
            return False
        return super().terminate(run_id)

    def _unasked(self, ask: Callable[[], object]) -> str:
        """Return why Ray gave no answer; empty where it gave one, even that it knows no such job."""
        try:
            ask()
        except OSError as error:
            return _in_short(error)
        except RuntimeError as error:
            return "" if GONE in str(error) else _in_short(error)
        return ""


def _in_short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]

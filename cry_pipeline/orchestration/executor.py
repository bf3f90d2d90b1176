"""How a run's steps are executed: one run at a time on a data folder, whoever launched it.

Belongs here: the executor of all jobs. Does not: the lock (lock.py), nor who notices that a run's process has died
(dead_runs.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import check_captured_interrupt

from cry_pipeline.allocation import keep_freed_memory
from cry_pipeline.orchestration.dead_runs import process_tag
from cry_pipeline.orchestration.lock import write_alone


class OneWriter(dg.Executor):
    """Executes as ``inner`` does, under the lock of the data folder, which the run's own process holds all the time.

    Processes that ``inner`` starts for steps need no lock of their own.
    """

    def __init__(self, inner: dg.Executor, data: Path) -> None:
        self._inner, self._data = inner, data

    @property
    def retries(self) -> Any:
        """Whether steps are tried again, as Dagster wants to know."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """What a step waits for, as Dagster wants to know."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Say which process this is, wait for the lock, execute; all in the run's own process."""
        keep_freed_memory()
        run, instance = plan_context.dagster_run, plan_context.instance
        instance.add_run_tags(run.run_id, process_tag())
        what = f"run {run.run_id[:8]} of job {run.job_name}"
        waiting = {"meanwhile": _raise_interrupts, "say": lambda words: instance.report_engine_event(words, run)}
        with write_alone(self._data, what, **waiting):
            yield from self._inner.execute(plan_context, execution_plan)


def _raise_interrupts() -> None:
    # Dagster captures the signals of who asks to terminate a run, until the run is ready to hear of it.
    if check_captured_interrupt():
        raise DagsterExecutionInterruptedError


def one_writer(data: Path) -> dg.ExecutorDefinition:
    """Return the executor of an installation: all steps in the run's process, under the lock of ``data``."""
    inner = dg.in_process_executor

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        assert inner.executor_creation_fn is not None  # noqa: S101 - Dagster's own executor has one
        return OneWriter(inner.executor_creation_fn(context), data)

    return dg.ExecutorDefinition("one_writer", inner.config_schema.as_field(), executor_creation_fn=create)

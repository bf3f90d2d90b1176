"""How a run's steps are executed: one run at a time on a data folder, whoever launched it.

Belongs here: the executor of all jobs. Does not: the lock (lock.py), nor who notices that a run's process has died
(dead_runs.py).
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import check_captured_interrupt

from cry_pipeline.allocation import keep_freed_memory
from cry_pipeline.orchestration.dead_runs import process_tag
from cry_pipeline.orchestration.instance import signs_of_life
from cry_pipeline.orchestration.lock import stay_alive_in
from cry_pipeline.orchestration.ray_job import ended_once_lost
from cry_pipeline.orchestration.writing import writing
from cry_pipeline.settings import Settings


class _As(dg.Executor):
    """Executes as ``inner`` does, but for what a class of it adds."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """Whether steps are tried again, as Dagster wants to know."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """What a step waits for, as Dagster wants to know."""
        return self._inner.step_dependency_config


class AfterEachStep(_As):
    """Calls ``act`` after each step, however that ended."""

    def __init__(self, inner: dg.Executor, act: Callable[[], None]) -> None:
        super().__init__(inner)
        self._act = act

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute, and act in between."""
        inner: Any = self._inner.execute(plan_context, execution_plan)
        with closing(inner):
            for event in inner:
                yield event
                if event.is_step_success or event.is_step_failure:
                    self._act()


class OneWriter(_As):
    """Executes as ``inner`` does while it writes the installation alone, in the run's own process all the time.

    Processes that ``inner`` starts for steps need no lock of their own.
    """

    def __init__(self, inner: dg.Executor, settings: Settings) -> None:
        super().__init__(inner)
        self._settings = settings

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Say which process this is, wait for the lock, execute; all in the run's own process."""
        keep_freed_memory()
        run, instance = plan_context.dagster_run, plan_context.instance
        stay_alive_in(signs_of_life(instance))
        instance.add_run_tags(run.run_id, process_tag())
        what = f"run {run.run_id[:8]} of job {run.job_name}"
        waiting = {"meanwhile": _raise_interrupts, "say": lambda words: instance.report_engine_event(words, run)}
        # Outermost: a process that Ray has lost would keep the lock, and all others waiting.
        with ended_once_lost(), writing(self._settings, what, **waiting) as keep:
            yield from AfterEachStep(self._inner, keep).execute(plan_context, execution_plan)


def _raise_interrupts() -> None:
    # Dagster captures the signals of who asks to terminate a run, until the run is ready to hear of it.
    if check_captured_interrupt():
        raise DagsterExecutionInterruptedError


def one_writer(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor of an installation: all steps in the run's process, which writes it alone."""
    return _wrapped("one_writer", dg.in_process_executor, lambda inner: OneWriter(inner, settings))


def acting_after_each_step(job: dg.JobDefinition, act: Callable[[], None]) -> dg.JobDefinition:
    """Return ``job``, which has an executor, so that it calls ``act`` after each step."""
    job._executor_def = _wrapped("after_each_step", job.executor_def, lambda inner: AfterEachStep(inner, act))
    return job


def _wrapped(
    name: str, inner: dg.ExecutorDefinition, wrap: Callable[[dg.Executor], dg.Executor]
) -> dg.ExecutorDefinition:
    def create(context: dg.InitExecutorContext) -> dg.Executor:
        assert inner.executor_creation_fn is not None  # noqa: S101 - Dagster's own executors have one
        return wrap(inner.executor_creation_fn(context))

    return dg.ExecutorDefinition(name, inner.config_schema.as_field(), executor_creation_fn=create)

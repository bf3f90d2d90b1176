"""Run a job in this process, on the instance that the UI shows.

Belongs here: what `cry-pipeline run` does. Does not: the command line itself (command/main.py).
"""

import errno
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterInvalidSubsetError
from dagster._core.execution.api import execute_run
from dagster._core.execution.job_execution_result import JobExecutionResult
from dagster._core.storage.tags import MAX_RETRIES_TAG, MAX_RUNTIME_SECONDS_TAG

from cry_pipeline.orchestration.asset_keys import STUDY
from cry_pipeline.orchestration.code_location import origins
from cry_pipeline.orchestration.database import UNREACHABLE, DatabaseError
from cry_pipeline.orchestration.dead_runs import mark_dead_runs, process_tag
from cry_pipeline.orchestration.executor import acting_after_each_step
from cry_pipeline.orchestration.instance import LONGEST_STUDY_H, open_instance
from cry_pipeline.orchestration.jobs import EVERYTHING, by_default
from cry_pipeline.orchestration.writing import writing
from cry_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's events go to the instance; the terminal gets what the pipeline itself says."""


SELECTION_WORDS = ("key", "group", "tag", "kind", "owner", "and", "or", "not")
UNWRITABLE = ("database or disk is full", "disk I/O error", "readonly database", "unable to open database file")
"""What SQLite says, beneath whatever names Dagster's libraries give to it."""
LEAST_FREE_BYTES = 1 << 20
MOST_NAMED = 3
"""Assets that are named where one cause stopped several."""


class RunFailedError(RuntimeError):
    """Some assets could not be materialized; the message names them and the first cause of each."""


class RunInterruptedError(RuntimeError):
    """Somebody asked the run to end before it was done; the message says what is kept."""

    exit_code = 130
    """What a shell says of a command that Ctrl-C ended."""


class RecordsError(RuntimeError):
    """Dagster's records cannot be written; the message says where, why, and what to do."""


@contextmanager
def records_kept(home: Path) -> Iterator[None]:
    """Say in a sentence what keeps Dagster's records, below ``home`` or in a database, from being written.

    Raises:
        RecordsError: the disk is full, nothing may be written there, or the database does not answer any more.
    """
    try:
        yield
    except DatabaseError:
        raise  # says all
    except Exception as error:
        if any(words in str(error) for words in UNREACHABLE):
            raise RecordsError(
                "The database of Dagster's records does not answer any more: see that it runs, and run the same "
                "command again. What was finished is kept."
            ) from error
        said = next((words for words in UNWRITABLE if words in str(error)), None)
        if said is None:
            raise
        full = shutil.disk_usage(home).free < LEAST_FREE_BYTES
        why = "no space is left for Dagster's records: make room" if full else f"Dagster's records: {said}: mend that"
        raise RecordsError(f"{home}: {why}, and run the same command again. What was finished is kept.") from error


def materialize(
    definitions: dg.Definitions,
    settings: Settings,
    selection: str | None = None,
    *,
    study: bool = False,
    wait_s: float | None = None,
    called: str = "cry-pipeline run",
) -> int:
    """Materialize the assets that ``selection`` names, all by default, and return how many there were.

    An asset that fails stops only what depends on it. What was done before is reused, so an interrupted study goes on
    where it was when it is asked for again. While another run writes the data folder, this one waits, and says so.

    Args:
        definitions: all that Dagster knows of the installation.
        settings: the installation.
        selection: Dagster's asset selection syntax, e.g. ``key:"features/mel64_8k"+`` or ``group:features``.
        study: also what is of the study alone, in the selection and by default.
        wait_s: how long to wait for another run to end; None: until it has.
        called: the command that asks, for whoever waits for it.

    Raises:
        BusyError: another run was still writing the data folder after ``wait_s``.
        RunInterruptedError: the run was stopped, by Ctrl-C or from the UI.
        ValueError: the selection names no asset, none but those of the study while ``study`` is False, or one without
            the other of two that are made together.
        RunFailedError: an asset or a blocking check failed.
        RecordsError: Dagster's records cannot be written.
    """
    # Dagster warns of a beta parameter that its own selection syntax uses.
    warnings.filterwarnings("ignore", "Parameter `include_sources`")
    if selection is None:
        job = definitions.resolve_job_def(STUDY if study else EVERYTHING)
    else:
        wanted = dg.AssetSelection.all() if study else by_default()
        job = _selected(definitions, selection, wanted)
    what = " ".join([f"`{called}`", *(["--study"] if study else []), *([selection] if selection else [])])
    # Nobody asks again for a run that a person started; they see how it ended.
    tags = {**process_tag(), MAX_RETRIES_TAG: "0", MAX_RUNTIME_SECONDS_TAG: str(LONGEST_STUDY_H * 3600)}
    with (
        writing(settings, what, wait_s=wait_s) as keep,
        records_kept(settings.dagster_home),
        open_instance(settings, in_terminal=True) as instance,
    ):
        mark_dead_runs(instance)
        result = _execute(job, instance, tags, keep)
        _raise_interrupted(result, instance)
    failures = [event for event in result.all_events if event.is_step_failure]
    if failures:
        raise RunFailedError(
            "\n".join([*said_once(map(_asset_and_cause, failures)), *_way_out(failures, settings.data)])
        )
    return len(result.get_asset_materialization_events())


def _execute(
    job: dg.JobDefinition, instance: dg.DagsterInstance, tags: dict[str, str], keep: Callable[[], None]
) -> JobExecutionResult:
    """Do what ``job.execute_in_process`` does, and record whose run it is, or the UI would not know.

    ``keep`` is called after each step.
    """
    remote, code = origins(job.name)
    run = instance.create_run_for_job(
        job,
        run_config=QUIET,
        tags={**job.run_tags, **tags},
        asset_selection=job.asset_selection,
        remote_job_origin=remote,
        job_code_origin=code,
    )
    # Made ephemeral, it has no executor of its own: that would wait for the lock that this process holds.
    alone = acting_after_each_step(job.as_ephemeral_job(resource_defs={}, input_values={}), keep)
    return execute_run(InMemoryJob(alone), run, instance)


def _way_out(failures: list[dg.DagsterEvent], data: Path) -> list[str]:
    if not any(
        words in _asset_and_cause(event)[1]
        for event in failures
        for words in (os.strerror(errno.ENOSPC), UNWRITABLE[0])
    ):
        return []
    return [f"Make room in {data} and run the same command again: what was finished is kept."]


def _raise_interrupted(result: JobExecutionResult, instance: dg.DagsterInstance) -> None:
    if not any(_is_interrupt(event) for event in result.all_events):
        return
    # Dagster calls a run failed that ended on Ctrl-C, and not by its own "terminate".
    if result.dagster_run.status is not dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(result.dagster_run, message="Stopped by a signal, such as that of Ctrl-C.")
    count = len(result.get_asset_materialization_events())
    raise RunInterruptedError(
        f"Stopped. What was finished is kept: {count} assets, and each fold of the run that it was at. "
        "The same command goes on there."
    )


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    if event.event_type is dg.DagsterEventType.RUN_CANCELED:
        return True
    error = event.step_failure_data.error if event.is_step_failure else None
    return error is not None and error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def _selected(definitions: dg.Definitions, selection: str, wanted: dg.AssetSelection) -> dg.JobDefinition:
    graph = definitions.resolve_asset_graph()
    try:
        named = dg.AssetSelection.from_string(selection)
    except DagsterInvalidAssetSelectionError as error:
        raise ValueError(
            f"{selection} is no selection: write e.g. 'key:\"features/mel64_8k\"+' or group:runs"
        ) from error
    if not named.resolve(graph):
        groups = sorted({graph.get(key).group_name or "" for key in graph.materializable_asset_keys})
        keys = [key.to_user_string() for key in graph.materializable_asset_keys]
        raise ValueError(
            f"{selection} selects no asset{_meant(selection, [*keys, *groups])}; the groups are {', '.join(groups)} "
            "(e.g. group:features)"
        )
    if not (named & wanted).resolve(graph):
        raise ValueError(f"{selection} selects only assets of the study; add --study to materialize them")
    # The UI materializes a selection as a part of this job, too.
    everything = definitions.resolve_implicit_global_asset_job_def()
    try:
        return everything.get_subset(asset_selection=(named & wanted).resolve(graph))
    except (dg.DagsterInvalidDefinitionError, DagsterInvalidSubsetError) as error:
        # Such as one of two that are made together.
        raise ValueError(f"{selection} cannot be selected like this: {error.__cause__ or error}") from error


def _meant(selection: str, known: list[str]) -> str:
    """Return a question for the keys and groups that the words of ``selection`` are like."""
    words = (word for word in re.findall(r"[\w/.-]+", selection) if word not in SELECTION_WORDS)
    nearest = dict.fromkeys(name for word in words for name in get_close_matches(word, known, n=1, cutoff=0.7))
    return f" (is {' or '.join(nearest)} meant?)" if nearest else ""


def said_once(failures: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence for each cause among ``failures``, which are assets and causes: one may stop many assets."""
    assets: dict[str, list[str]] = {}
    for asset, cause in failures:
        assets.setdefault(cause, []).append(asset)
    for cause, stopped in assets.items():
        more = len(stopped) - MOST_NAMED
        others = f" and {more} more" if more > 0 else ""
        yield f"{', '.join(stopped[:MOST_NAMED])}{others}: {cause}"


def _asset_and_cause(event: dg.DagsterEvent) -> tuple[str, str]:
    asset = (event.step_key or "").replace("__", "/")
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return asset, "failed"
    kind, _, message = error.message.partition(": ")
    return asset, (message if kind.endswith(error.cls_name or "") else error.message).strip()

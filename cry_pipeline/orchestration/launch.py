"""Run a job in this process, on the instance that the UI shows.

Belongs here: what `cry-pipeline run` does. Does not: the command line itself (cli.py).
"""

import warnings

import dagster as dg

from cry_pipeline.definitions import build_definitions
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's events go to the instance; the terminal gets what the pipeline itself says."""


class RunFailedError(RuntimeError):
    """Some assets could not be materialized; the message names them and the first cause of each."""


def materialize(settings: Settings, selection: str | None = None) -> int:
    """Materialize the assets that ``selection`` names, all by default, and return how many there were.

    An asset that fails stops only what depends on it.

    Args:
        settings: the installation.
        selection: Dagster's asset selection syntax, e.g. ``key:"features/mel64_8k"+`` or ``group:features``.

    Raises:
        ValueError: the selection names no asset.
        RunFailedError: an asset or a blocking check failed.
    """
    # Dagster warns of a beta parameter that its own selection syntax uses.
    warnings.filterwarnings("ignore", "Parameter `include_sources`")
    definitions = build_definitions(settings)
    job = definitions.resolve_job_def("everything") if selection is None else _selected(definitions, selection)
    with open_instance(settings, in_terminal=True) as instance:
        result = job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
    failures = [event for event in result.all_events if event.is_step_failure]
    if failures:
        raise RunFailedError("\n".join(_say(event) for event in failures))
    return len(result.get_asset_materialization_events())


def _selected(definitions: dg.Definitions, selection: str) -> dg.JobDefinition:
    graph = definitions.resolve_asset_graph()
    if not dg.AssetSelection.from_string(selection).resolve(graph):
        groups = sorted({graph.get(key).group_name for key in graph.materializable_asset_keys})
        raise ValueError(f"{selection} selects no asset; the groups are {', '.join(groups)} (e.g. group:features)")
    job = dg.define_asset_job("selected", selection=selection)
    return dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("selected")


def _say(event: dg.DagsterEvent) -> str:
    asset = (event.step_key or "").replace("__", "/")
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"{asset}: failed"
    kind, _, message = error.message.partition(": ")
    return f"{asset}: {message if kind.endswith(error.cls_name or '') else error.message}".strip()

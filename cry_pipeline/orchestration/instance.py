"""Dagster's instance under the data folder.

Belongs here: where runs and events are recorded, and how. Does not: what is run.
"""

import os

import dagster as dg
import yaml

from cry_pipeline.settings import Settings

INSTANCE_CONFIG = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    # What domain code logs is to be read in the run's log, too.
    "python_logs": {"managed_python_loggers": ["cry_pipeline"], "python_log_level": "INFO"},
    "retention": {"sensor": {"purge_after_days": {"skipped": 7, "success": 90}}},
}
# Dagster keeps what a step writes to stderr in a file; a progress bar needs the terminal itself.
IN_TERMINAL_CONFIG = {
    **INSTANCE_CONFIG,
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}


def open_instance(settings: Settings, *, in_terminal: bool = False) -> dg.DagsterInstance:
    """Return the instance at ``settings.dagster_home``, made on first use, and name it in ``DAGSTER_HOME``.

    Call it before two processes touch a new home: its database is then there before either asks for it. With
    ``in_terminal`` steps of this process write to its own stderr; events and logs are recorded all the same.
    """
    home = settings.dagster_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    for name, config in (("dagster.yaml", INSTANCE_CONFIG), ("in_terminal.yaml", IN_TERMINAL_CONFIG)):
        if not (home / name).exists():
            (home / name).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    instance = dg.DagsterInstance.from_config(str(home), "in_terminal.yaml" if in_terminal else "dagster.yaml")
    instance.get_runs_count()  # the first query creates the tables
    return instance

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


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance at ``settings.dagster_home``, made on first use, and name it in ``DAGSTER_HOME``.

    Call it before two processes touch a new home: its database is then there before either asks for it.
    """
    home = settings.dagster_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(yaml.safe_dump(INSTANCE_CONFIG, sort_keys=False), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    instance = dg.DagsterInstance.from_config(str(home))
    instance.get_runs_count()  # the first query creates the tables
    return instance

"""Dagster's instance under the data folder.

Belongs here: where runs and events are recorded, and how. Does not: what is run, nor what is removed (maintenance.py).
"""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from alembic.util import CommandError
from dagster._core.instance.ref import InstanceRef
from dagster_shared.error import DagsterError
from sqlalchemy.exc import SQLAlchemyError

from cry_pipeline.artefacts import open_plain, read_plain, write_atomically
from cry_pipeline.digests import sha256_of
from cry_pipeline.orchestration.lock import hold
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
OPENING, SETTINGS = ".opening.lock", "dagster.yaml"
DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Where Dagster keeps its records if no other storage is set; those of single runs lie beside the second."""
BEGIN_ANEW = (
    "move {home} away, and run again: Dagster's history then begins anew, and all results are found and reused."
)
LONGEST_RUN_H = 24
LONGEST_STUDY_H = 24 * 7

INSTANCE_CONFIG = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    # What domain code logs is to be read in the run's log, too.
    "python_logs": {"managed_python_loggers": ["cry_pipeline"], "python_log_level": "INFO"},
    # Four training runs of 3 GB each started side by side otherwise, on the same files.
    "concurrency": {"runs": {"max_concurrent_runs": 1}},
    "run_launcher": {"module": "cry_pipeline.orchestration.launcher", "class": "LocalRunLauncher"},
    # Loading the code takes up to a minute on a busy machine; a run that hangs would keep all others waiting.
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": 300,
        "cancel_timeout_seconds": 300,
        "max_runtime_seconds": LONGEST_RUN_H * 3600,
        "poll_interval_seconds": 30,
    },
    # A run whose process died is asked for again; assets that fail are counted by the conditions in automation.py.
    "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
    "retention": {
        "schedule": {"purge_after_days": {"skipped": 7, "success": 90, "failure": 90, "started": 90}},
        "sensor": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 30, "started": 30}},
        "auto_materialize": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 30, "started": 30}},
    },
}
# Dagster keeps what a step writes to stderr in a file; a progress bar needs the terminal itself.
IN_TERMINAL = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}
MARK = "# Written by cry-pipeline; follows its releases until it is edited. Delete it to get the shipped one. sha256: "
BEFORE_THE_MARK = {"d7ad522ee62d3c950159ad21d5de65357118d825239f52086e85eb4aa49f53bf"}
"""sha256 of files that were written before they were marked."""


class InstanceError(RuntimeError):
    """Dagster's instance cannot be opened; the message names the file and says what to do."""


def open_instance(settings: Settings, *, in_terminal: bool = False) -> dg.DagsterInstance:
    """Return the instance at ``settings.dagster_home``, made on first use, and name it in ``DAGSTER_HOME``.

    Call it before two processes touch a new home: its database is then there before either asks for it. With
    ``in_terminal`` steps of this process write to its own stderr; events and logs are recorded all the same.

    Raises:
        InstanceError: its settings or one of its databases are damaged, or of another version of Dagster.
    """
    home = settings.dagster_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    follow(home / SETTINGS, INSTANCE_CONFIG)
    os.environ["DAGSTER_HOME"] = str(home)
    overrides = IN_TERMINAL if in_terminal else None
    # Two processes that make the tables of a fresh home at once get in each other's way, and one of them ends.
    with hold(home / OPENING, "making Dagster's tables", say=LOG.debug):
        for name in DATABASES:
            _check_database(home / name, home)
        try:
            instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
            # The first query of each storage makes its tables.
            instance.get_runs_count()
            instance.all_asset_keys()
            instance.all_instigator_state()
        except (DagsterError, SQLAlchemyError, CommandError) as error:
            said = " ".join(str(error).split())[:300]
            raise InstanceError(
                f"Dagster cannot work with what is in {home} ({said}). If {home / SETTINGS} was edited, mend it, or "
                f"delete it to get the shipped one. Else {BEGIN_ANEW.format(home=home)}"
            ) from error
    return instance


def _check_database(path: Path, home: Path) -> None:
    """Raise InstanceError unless ``path`` is a sound database of SQLite, or not there yet."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        os.close(open_plain(path, os.O_RDONLY))
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except (OSError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return  # somebody writes into it: it is sound enough for that
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if found != "ok":
        raise InstanceError(
            f"{path} is damaged ({' '.join(found.split())}). It holds what Dagster has on record of runs, and nothing "
            f"that the pipeline made: {BEGIN_ANEW.format(home=home)}"
        )


def follow(path: Path, shipped: dict[str, Any]) -> None:
    """Write ``shipped`` to ``path``, unless somebody edited the file: then it is kept, and what differs is said."""
    body = yaml.safe_dump(shipped, sort_keys=False)
    text = f"{MARK}{sha256_of(body.encode())}\n{body}"
    written = read_plain(path).decode(errors="replace") if path.exists() else None
    if written == text:
        return
    if written is None or _is_ours(written):
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return
    try:
        own = yaml.safe_load(written) or {}
        differences = _differences(own, shipped)
    except (yaml.YAMLError, AttributeError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise InstanceError(
            f"{path} is not YAML of settings ({said}): mend it, or delete it to get the shipped one"
        ) from error
    if differences:
        LOG.warning("%s was edited and is kept. It differs from the shipped one: %s.", path, "; ".join(differences))


def _is_ours(text: str) -> bool:
    first, _, body = text.partition("\n")
    if first.startswith(MARK):
        return first.removeprefix(MARK) == sha256_of(body.encode())
    return sha256_of(text.encode()) in BEFORE_THE_MARK


def _differences(written: dict[str, Any], shipped: dict[str, Any]) -> list[str]:
    return [
        f"{key} is {written.get(key, 'not there')}, shipped is {shipped.get(key, 'nothing')}"
        for key in dict.fromkeys([*shipped, *written])
        if written.get(key) != shipped.get(key)
    ]

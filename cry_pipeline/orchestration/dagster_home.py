"""What Dagster has recorded and nobody looks at any more: runs of long ago, conditions' evaluations, logs.

Belongs here: which of Dagster's records go, and how their room comes back. Does not: what the pipeline made
(retention.py); ticks of sensors and schedules, which Dagster removes by itself (instance.py).
"""

import logging
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG = logging.getLogger("cry_pipeline")
KEPT_RUNS = 50
"""The last runs stay, however old."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
RUN_ID_LENGTH = 36


def old_runs(instance: dg.DagsterInstance, older_than: timedelta) -> list[str]:
    """Return the ids of finished runs that ended before, and that made nothing that is there now."""
    before = datetime.now(UTC) - older_than
    needed = {record.dagster_run.run_id for record in instance.get_run_records(limit=KEPT_RUNS)}
    for record in instance.get_asset_records(list(instance.all_asset_keys())):
        entry = record.asset_entry
        needed |= {run for run in (entry.last_run_id, _run_of(entry.last_materialization_record)) if run}
    old = instance.get_run_records(dg.RunsFilter(statuses=FINISHED, updated_before=before))
    return [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in needed]


def _run_of(record: "dg.EventLogRecord | None") -> str | None:
    return record.run_id if record is not None else None


def old_logs(instance: dg.DagsterInstance, older_than: timedelta) -> list[Path]:
    """Return the folders and files of what steps and sensors printed, of runs that are no more, or before then."""
    before = (datetime.now(UTC) - older_than).timestamp()
    storage = Path(instance.storage_directory())
    if not storage.is_dir():
        return []
    old = []
    for folder in storage.iterdir():
        if len(folder.name) == RUN_ID_LENGTH and folder.name.count("-") == 4:
            if not instance.has_run(folder.name):
                old.append(folder)
        else:
            old += [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime < before]
    return sorted(old)


def remove_runs(instance: dg.DagsterInstance, runs: "Sequence[str]") -> None:
    """Remove runs with their events, and the file that Dagster keeps those in."""
    events = instance.event_log_storage
    for run in runs:
        LOG.info("removing the record of run %s", run[:8])
        instance.delete_run(run)
        if isinstance(events, SqliteEventLogStorage):
            for end in ("", "-wal", "-shm", "-journal"):
                Path(events.path_for_shard(run) + end).unlink(missing_ok=True)


def remove_evaluations(instance: dg.DagsterInstance, older_than: timedelta) -> None:
    """Remove what conditions were evaluated to before then: a tree for each asset and evaluation."""
    storage = instance.schedule_storage
    if storage is not None and storage.supports_auto_materialize_asset_evaluations:
        storage.purge_asset_evaluations(before=(datetime.now(UTC) - older_than).timestamp())


def remove_logs(paths: "Sequence[Path]") -> None:
    """Remove what :func:`old_logs` found."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=False)
        else:
            path.unlink(missing_ok=True)


def give_back(home: Path) -> list[str]:
    """Let SQLite return the room of removed records to the system; return what could not be done, and why."""
    busy = []
    for path in sorted(home.rglob("*.db")):
        try:
            with closing(sqlite3.connect(path, timeout=10)) as connection:
                connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            busy.append(f"{path.relative_to(home)}: {error}")
    return busy

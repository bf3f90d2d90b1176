"""Runs whose process has died: Dagster would call them started for ever, and never ask again for what they planned.

Belongs here: which process executes a run, and marking those that nobody executes any more. Does not: what is then
asked for again (automation.py, Dagster's run retries).
"""

import json
import logging
import re
import time
from dataclasses import asdict

import dagster as dg
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

from cry_pipeline.orchestration.instance import signs_of_life
from cry_pipeline.orchestration.lock import Process, is_alive_in

LOG = logging.getLogger("cry_pipeline")
PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}cry_pipeline_process"
"""Nothing to read for people, so in no list of runs."""
SHOWN_PROCESS_TAG = "cry_pipeline/process"
"""The same, of runs that an earlier version began."""
UNSAID_S = 600.0
"""A run that has not said which process executes it, nor anything else for so long, has none."""

_STATUSES = dg.DagsterRunStatus
UNFINISHED = [_STATUSES.NOT_STARTED, _STATUSES.STARTING, _STATUSES.STARTED, _STATUSES.CANCELING]
"""Not queued ones: those wait for the daemon, which launches them when there is one."""


def process_tag() -> dict[str, str]:
    """Return the tag that says of a run that this process executes it."""
    return {PROCESS_TAG: json.dumps(asdict(Process.this()))}


def process_of(run: dg.DagsterRun) -> Process | None:
    """Return the process that executes ``run``, if it has said so."""
    try:
        return Process(**json.loads(run.tags.get(PROCESS_TAG) or run.tags[SHOWN_PROCESS_TAG]))
    except (KeyError, ValueError, TypeError):
        return None


def is_dead(record: dg.RunRecord, instance: dg.DagsterInstance) -> bool:
    """Return whether the process of an unfinished run has certainly ended."""
    process = process_of(record.dagster_run)
    if process is not None:
        return process.is_dead() or is_alive_in(signs_of_life(instance), process) is False
    # Killed before its first words, or by a version that said none: Dagster notes the number of a launched process.
    if abs(time.time() - record.update_timestamp.timestamp()) < UNSAID_S:  # the clock may have been set back
        return False
    pids = [_pid(log.message) for log in instance.all_logs(record.dagster_run.run_id) if log.is_dagster_event]
    # Where that is another container's number, it names no process here, or one that has nothing to do with it: after
    # ten minutes without a word the run is none in either case.
    this = Process.this()
    return all(Process(this.host, pid, started="").is_dead() for pid in pids if pid)


def _pid(message: str) -> int | None:
    match = re.search(r"\(pid: (\d+)\)", message)
    return int(match[1]) if match else None


def mark_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs whose process has died as failed, or as canceled where that was asked for; return their ids."""
    marked = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if not is_dead(record, instance):
            continue
        said = (
            f"The process of this run has ended without a word: killed, or the machine went off ({run.status.value})."
        )
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=said)
        else:
            instance.report_run_failed(run, message=said)
        LOG.warning("Run %s of job %s is marked as failed: its process has died.", run.run_id[:8], run.job_name)
        marked.append(run.run_id)
    return marked

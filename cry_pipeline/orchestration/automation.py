"""When things run by themselves: the inbox sensor, the weekly catch-up.

Belongs here: sensors and schedules. Does not: training (retraining.py), when an asset is to be made (conditions.py),
nor what then runs (jobs.py, assets/).
"""

import time
from itertools import takewhile

import dagster as dg

from cry_pipeline.digests import digest
from cry_pipeline.orchestration.asset_keys import DONATIONS, INVENTORY, RECORDINGS, STUDY
from cry_pipeline.orchestration.conditions import ATTEMPTS
from cry_pipeline.orchestration.jobs import EVERYTHING, INGEST
from cry_pipeline.orchestration.records import last_made
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.writing import refreshed

CATCH_UP_CRON = "0 5 * * 1"
INBOX_TAG = "cry_pipeline/inbox"
"""Tag of the runs that the inbox sensor asks for: the fingerprint of the sources that they are to take in."""
WAITS_S = (60, 300)
"""How long the sensor waits after the first failed attempt at one state of the sources, and after the second."""
HASHING_S = 20.0
"""How long one look at the sources may hash what is new: a look that takes longer than its minute is lost whole."""


@dg.sensor(
    job_name=INGEST,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for ingestion until what the inbox holds is taken in or refused, and manifest, features and "
    "folds are made of what corpus and archive hold.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
    """Compare what is on disk with what the last products of an ingestion were made of; keeps no state of its own.

    New in the inbox is what the intake's ledger does not know; nothing of it is read here. An ingestion that was killed
    half-way, or failed, is asked for again: the run key holds the number of the last inventory beside the fingerprint,
    because Dagster never forgets a run key, and a state of the sources may come back; and how often this state was
    tried, because who is killed during the intake has made no inventory.
    A state that cannot be taken in is tried :data:`ATTEMPTS` times, then it is said what to do. A folder that cannot
    be listed is said; it is never taken for an empty one.
    """
    from cry_pipeline.artefacts import DamagedFileError
    from cry_pipeline.corpus.sources import SourceError, UnfinishedInventoryError, fingerprint
    from cry_pipeline.secret import SecretError

    known = last_made(context.instance, [INVENTORY]).get(INVENTORY)
    if known is None:
        return dg.SkipReason("Nothing has been ingested yet: materialize raw/inventory, or `make run`, first.")
    try:
        refreshed(workspace.settings)
        listed = workspace.inventory(HASHING_S)
    except UnfinishedInventoryError as error:
        return dg.SkipReason(str(error))
    except (SourceError, SecretError, DamagedFileError, OSError) as error:
        return dg.SkipReason(f"The sources cannot be listed: {error}")
    arrived = listed.attrs["arrived"]
    now = fingerprint(listed)
    behind = [DONATIONS.to_user_string()] if arrived else _behind(context, now)
    if arrived:
        now = digest(inventory=now, arrived=arrived)
    if not behind:
        return dg.SkipReason("Manifest, features and folds are made of the files that there are.")
    held_up = held_up_by(context.instance, now)
    if held_up:
        return dg.SkipReason(f"{', '.join(behind)}: made of other files than there are now. {held_up}")
    tried = context.instance.get_runs_count(dg.RunsFilter(tags={INBOX_TAG: now}))
    return dg.RunRequest(run_key=f"{now}-{known.storage_id}-{tried}", tags={INBOX_TAG: now})


def _behind(context: dg.SensorEvaluationContext, fingerprint: str) -> list[str]:
    """Return which products of an ingestion were made of something else than the files that there are.

    What was never made, a new feature set, is for whoever added it to ask for; but there must be a manifest.
    """
    repository = context.repository_def
    products = set(repository.get_job(INGEST).asset_layer.executable_asset_keys) if repository else set()
    made = last_made(context.instance, products - {INVENTORY} | {RECORDINGS})
    if RECORDINGS not in made:
        return [RECORDINGS.to_user_string()]
    now = {INVENTORY.to_user_string(): fingerprint, RECORDINGS.to_user_string(): made[RECORDINGS].data_version}
    return sorted(
        key.to_user_string()
        for key, last in made.items()
        if any(last.inputs.get(name, version) != version for name, version in now.items())
    )


def held_up_by(instance: dg.DagsterInstance, fingerprint: str, tag: str = INBOX_TAG) -> str | None:
    """Return why this state of the sources, which runs that are to take it in bear as ``tag``, is to wait, or None."""
    active = dg.RunsFilter(
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        ]
    )
    for run in instance.get_runs(filters=active):
        if run.job_name in (INGEST, EVERYTHING, STUDY):
            return f"Run {run.run_id} ({run.job_name}) is at it."
    records = instance.get_run_records(dg.RunsFilter(tags={tag: fingerprint}), limit=ATTEMPTS)
    failed = list(takewhile(lambda record: record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS, records))
    if len(failed) >= ATTEMPTS:
        return (
            f"{len(failed)} runs failed to take them in, the last is {failed[0].dagster_run.run_id}: see there what is "
            f"wrong. Take away the file that it names, or remove the cause and launch the job `{INGEST}` yourself."
        )
    # Either way: where the clock was set back, the run has ended in the future.
    wait_s = WAITS_S[len(failed) - 1] - abs(time.time() - (failed[0].end_time or 0)) if failed else 0
    if wait_s > 0:
        return f"Run {failed[0].dagster_run.run_id} failed to take them in; it is tried again in {wait_s:.0f} s."
    return None


weekly_catch_up = dg.ScheduleDefinition(
    name="weekly_catch_up",
    job_name=EVERYTHING,
    cron_schedule=CATCH_UP_CRON,
    description="Asks for everything but the study again, so that no failed run is forgotten; what is done is reused.",
)

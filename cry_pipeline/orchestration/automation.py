"""When things run by themselves: the inbox sensor, the retraining condition, the weekly catch-up.

Belongs here: conditions, sensors and schedules. Does not: what then runs (jobs.py, assets/).
"""

from typing import cast

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.assets.manifests import INVENTORY
from cry_pipeline.orchestration.jobs import EVERYTHING, INGEST, by_default
from cry_pipeline.orchestration.resources import Workspace

TRAINING_CRON = "0 3 * * 1"
CATCH_UP_CRON = "0 5 * * 1"
DATA_VERSION_TAG = "dagster/data_version"


def when_stale(*, despite_missing: bool = False) -> dg.AutomationCondition:
    """Ask for an asset whose data or code changed since it was last asked for, once its inputs are sound.

    ``despite_missing`` is for what shows the inputs that there are, as reports do.

    Dagster's ``eager()`` would run again on inputs that were rewritten with the same content, and would not
    notice a changed parameter.
    """
    condition = dg.AutomationCondition
    new_data = condition.any_deps_updated().replace("newly_updated", condition.data_version_changed())
    # Dagster types conditions on assets and on checks apart, and `since_last_handled` as one for either.
    changed = cast(dg.AutomationCondition, new_data | condition.code_version_changed() | condition.newly_missing())
    ready = ~condition.in_progress() & ~condition.any_deps_in_progress() & condition.all_deps_blocking_checks_passed()
    if not despite_missing:
        ready &= ~condition.any_deps_missing()
    return (changed.since_last_handled() & ready).with_label("stale and its inputs are sound")


def when_due() -> dg.AutomationCondition:
    """As :func:`when_stale`, for training: at most once per weekly tick, however many donations arrive."""
    ticked = dg.AutomationCondition.cron_tick_passed(TRAINING_CRON).since_last_handled()
    return (when_stale() & ticked).with_label("stale, sound and due this week")


@dg.sensor(
    job_name=INGEST,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for ingestion when the files of the corpus and the inbox differ from the last inventory.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
    """Compare the fingerprint of what is on disk with the last materialized one; keeps no state of its own.

    The fingerprint is the run key, so one state of the inbox is asked for once. A folder that cannot be
    listed is said; it is never taken for an empty one.
    """
    from cry_pipeline.corpus.sources import SourceError, fingerprint, take_inventory

    settings = workspace.settings
    known = context.instance.get_latest_materialization_event(INVENTORY)
    if known is None or known.asset_materialization is None:
        return dg.SkipReason("Nothing has been ingested yet: materialize raw/inventory, or `make run`, first.")
    try:
        now = fingerprint(take_inventory(workspace.roots(), settings.cache))
    except (SourceError, OSError) as error:
        return dg.SkipReason(f"The sources cannot be listed: {error}")
    if now == (known.asset_materialization.tags or {}).get(DATA_VERSION_TAG):
        return dg.SkipReason("No file has come, gone or changed since the last inventory.")
    return dg.RunRequest(run_key=now)


def retraining_sensor(catalog: Catalog) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions; what is of the study alone is never trained by itself."""
    return dg.AutomationConditionSensorDefinition(
        "retraining",
        target=by_default(catalog) & dg.AssetSelection.groups("runs", "evidence", "reports", "models"),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Trains, evaluates and reports what is stale, at most weekly. Turn it on where nobody watches.",
    )


weekly_catch_up = dg.ScheduleDefinition(
    name="weekly_catch_up",
    job_name=EVERYTHING,
    cron_schedule=CATCH_UP_CRON,
    description="Asks for everything but the study again, so that no failed run is forgotten; what is done is reused.",
)

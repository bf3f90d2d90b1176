"""When judgements are taken in: once people have stopped judging for a while.

Belongs here: the sensor of judgements. Does not: what they are made into (assets/), and when training follows
(conditions.py).
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.orchestration.asset_keys import INVENTORY, JUDGEMENTS, RECORDINGS
from cry_pipeline.orchestration.automation import held_up_by
from cry_pipeline.orchestration.jobs import INGEST
from cry_pipeline.orchestration.records import last_made
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.orchestration.writing import refreshed

if TYPE_CHECKING:
    import pandas as pd

JUDGED_TAG = "cry_pipeline/judged"
"""Tag of the runs that this sensor asks for: the digest of the judgements that they are to take in."""
QUIET, LONGEST = timedelta(minutes=5), timedelta(hours=1)
"""Nobody has judged for so long; or somebody judges on and on, and the first that is not taken in is so old."""


@dg.sensor(
    job_name=INGEST,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for ingestion when there are new judgements and nobody has judged for five minutes, or the "
    "oldest that was not taken in is an hour old.",
)
def judging_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
    """Compare the judgements that there are with those that the manifest was made of; keeps no state of its own.

    Judgements that were removed, with the recording that they are of, are news, too, and wait for nobody. A state that
    cannot be taken in is asked for again and given up as the inbox sensor does.
    """
    from cry_pipeline.artefacts import DamagedFileError
    from cry_pipeline.corpus.judgements import judgements_digest, read_judgements

    made = last_made(context.instance, [INVENTORY, JUDGEMENTS, RECORDINGS])
    if INVENTORY not in made:
        return dg.SkipReason("Nothing has been ingested yet: materialize raw/inventory, or `make run`, first.")
    try:
        refreshed(workspace.settings)
        judged = read_judgements(workspace.settings.judgements)
    except (DamagedFileError, OSError) as error:
        return dg.SkipReason(f"The judgements cannot be read: {error}")
    now, known = judgements_digest(judged), made.get(JUDGEMENTS)
    taken_in = known is not None and known.data_version == now
    recordings = made.get(RECORDINGS)
    if taken_in and recordings and recordings.inputs.get(JUDGEMENTS.to_user_string()) == now:
        return dg.SkipReason("The manifest is made of the judgements that there are.")
    new = _unseen(judged, workspace.settings.manifests / "judgements.parquet")
    if not taken_in and _goes_on(judged, new):
        return dg.SkipReason(f"{len(new)} judgements are new, and people are still judging.")
    held_up = held_up_by(context.instance, now, JUDGED_TAG)
    if held_up:
        return dg.SkipReason(f"{len(new)} judgements are new. {held_up}")
    # Dagster never forgets a run key, and a state may come back, or its run fail.
    tried = context.instance.get_runs_count(dg.RunsFilter(tags={JUDGED_TAG: now}))
    return dg.RunRequest(run_key=f"{now}-{known.storage_id if known else 0}-{tried}", tags={JUDGED_TAG: now})


def _unseen(judged: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """Return the judgements that the table at ``path`` lacks: all, where there is none that can be read."""
    from cry_pipeline.artefacts import DamagedFileError, read_table

    try:
        return judged[~judged["judgement"].isin(read_table(path)["judgement"])]
    except DamagedFileError:
        return judged


def _goes_on(judged: "pd.DataFrame", new: "pd.DataFrame") -> bool:
    """Return whether it is better to wait; where the clock was set back, a judgement is of the future."""
    if new.empty:
        return False
    now = datetime.now(UTC)
    return abs(now - judged["at"].max()) < QUIET and now - new["at"].min() < LONGEST

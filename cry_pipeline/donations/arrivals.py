"""When donations arrived: what the archive noted when it took them in.

Belongs here: looking that up for the donations of a manifest. Does not: noting it (corpus/), and when they were
recorded, which the manifest says.

The archive has a file for each donation, which does not change. So what was looked up is kept in a table.
"""

import logging
from datetime import UTC

import pandas as pd

from cry_pipeline.artefacts import DamagedFileError, MissingFileError
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.cohorts import DONATED
from cry_pipeline.digests import table_digest
from cry_pipeline.settings import Settings
from cry_pipeline.tables import Schema, TableError, instant, sha256

LOG = logging.getLogger("cry_pipeline")
ARRIVALS = Schema(
    "the arrivals",
    {"recording_id": sha256("a donation"), "arrived_at": instant("when it arrived")},
    unique=["recording_id"],
)
FILE = "arrivals.parquet"


def look_up_arrivals(recordings: pd.DataFrame, settings: Settings) -> "pd.Series[pd.Timestamp]":
    """Return when each donation of the manifest ``recordings`` arrived, UTC, by recording_id; and keep it.

    Raises:
        ArchiveError: the archive does not hold one of them.
        DamagedFileError: what it tells of one is not what was written.
    """
    kept, donated = _kept(settings), recordings[recordings["source"] == DONATED]
    known = ARRIVALS.table_of([]) if kept is None else kept
    archive = Archive.open(settings.archive, settings.cache)
    unknown = donated[~donated["recording_id"].isin(known["recording_id"])]
    rows = [
        {"recording_id": recording, "arrived_at": archive.about(recording).arrived_at.astimezone(UTC)}
        for recording in unknown["recording_id"]
    ]
    found = pd.concat([known, ARRIVALS.table_of(rows)], ignore_index=True) if rows else known
    found = found[found["recording_id"].isin(donated["recording_id"])].sort_values("recording_id", ignore_index=True)
    if kept is None or not found.equals(kept):
        ARRIVALS.write(settings.donations / FILE, found, table_digest(found))
    return found.set_index("recording_id")["arrived_at"]


def read_arrivals(settings: Settings) -> "pd.Series[pd.Timestamp]":
    """Return when each donation that triage has seen arrived, UTC, by recording_id.

    Raises:
        MissingFileError: nothing was triaged yet.
        DamagedFileError: the table is not what was written.
    """
    return ARRIVALS.read(settings.donations / FILE).set_index("recording_id")["arrived_at"]


def _kept(settings: Settings) -> pd.DataFrame | None:
    try:
        return ARRIVALS.read(settings.donations / FILE)
    except MissingFileError:
        return None
    except (DamagedFileError, TableError) as error:
        LOG.warning("%s: it is looked up again", error)
        return None

"""What the manifest tells of the recordings that were tested, as evidence reads it.

Belongs here: which columns, and their digest. Does not: what is made of them (probes.py, and whoever asks for groups
of recordings).
"""

import pandas as pd

from cry_pipeline.artefacts import table_digest
from cry_pipeline.folds.copies import parse_copy, recordings_of

TOLD = [
    "platform",
    "app_version",
    "gender",
    "age_band",
    "duration_s",
    "peak",
    "rms_dbfs",
    "clipped_fraction",
    "silent_fraction",
]
"""Columns of the manifest (corpus/schemas.py)."""


def told_of(recordings: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Return TOLD of the recordings that ``folds`` hold, by recording_id, rising; copies have none of their own."""
    wanted = recordings[recordings["recording_id"].isin(recordings_of(folds["recording_id"]))]
    return wanted.set_index("recording_id")[TOLD].sort_index()


def told_digest(told: pd.DataFrame) -> str:
    """Return the digest of what :func:`told_of` returned."""
    return table_digest(told.reset_index())


def aligned(told: pd.DataFrame, recording_ids: "pd.Series | list[str]") -> pd.DataFrame:
    """Return a row of ``told`` for each of ``recording_ids``, in their order; a copy has that of its recording.

    Raises:
        KeyError: a recording is not told of.
    """
    return told.loc[[parse_copy(name)[0] for name in recording_ids]]

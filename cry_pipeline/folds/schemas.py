"""What a table of folds must look like.

Belongs here: its schema. Does not: making folds (splitting.py).
"""

import pandas as pd

from cry_pipeline.folds.words import TRAIN_ONLY
from cry_pipeline.tables import Schema, integer, text


def _complete(folds: pd.DataFrame) -> bool:
    return bool(folds.groupby("recording_id")["repeat"].nunique().eq(folds["repeat"].nunique()).all())


FOLDS = Schema(
    "the table of folds",
    {
        "recording_id": text("sha256 of the file's bytes; of a copy, '+' and a number behind it"),
        "donor": text("app-instance UUID"),
        "label": text("class of the cohort's target"),
        "repeat": integer("number of the repetition, with a seed of its own", 0),
        "fold": integer("the fold that tests the recording; -1: it is trained on and never tested", TRAIN_ONLY),
    },
    unique=["recording_id", "repeat"],
    rules={"every recording is in every repeat": _complete},
)
"""Folds of a cohort: each recording is tested once per repeat."""

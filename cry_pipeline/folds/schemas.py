"""What a table of folds must look like.

Belongs here: pandera schemas (import this module where it is needed: pandera is slow to load). Does not:
making folds (splitting.py).
"""

import pandas as pd
import pandera.pandas as pa

from cry_pipeline.folds.words import TRAIN_ONLY


def _complete(folds: pd.DataFrame) -> bool:
    return bool(folds.groupby("recording_id")["repeat"].nunique().eq(folds["repeat"].nunique()).all())


FOLDS = pa.DataFrameSchema(
    {
        "recording_id": pa.Column(str, description="sha256 of the file's bytes; of a copy, '+' and a number behind it"),
        "donor": pa.Column(str, description="app-instance UUID"),
        "label": pa.Column(str, description="class of the cohort's target"),
        "repeat": pa.Column("int64", pa.Check.ge(0), description="number of the repetition, with a seed of its own"),
        "fold": pa.Column(
            "int64",
            pa.Check.ge(TRAIN_ONLY),
            description="the fold that tests the recording; -1: it is trained on and never tested",
        ),
    },
    checks=pa.Check(_complete, error="every recording is in every repeat"),
    unique=["recording_id", "repeat"],
    strict=True,
    ordered=True,
)
"""Folds of a cohort: each recording is tested once per repeat."""

"""What the modules of this package share: columns, the mark of rows that are never tested, the error.

Belongs here: names. Does not: making folds (splitting.py, copies.py, temporal.py).
"""

import pandas as pd

COLUMNS = ["recording_id", "donor", "label", "repeat", "fold"]
TRAIN_ONLY = -1
"""Value of ``fold`` of a row that every fold of its repeat trains on and none tests."""


class FoldError(ValueError):
    """No folds can be made that keep the protocol's promises; the message names class, donors and remedy."""


def tested(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that some fold tests: all, except under ``temporal``."""
    return folds[folds["fold"] != TRAIN_ONLY]

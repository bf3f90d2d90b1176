"""One split by time and donor: learn from what was donated before a moment, be asked about later donors.

Belongs here: the moment, and who is on which side of it. Does not: protocols that draw folds (splitting.py).
"""

import numpy as np
import pandas as pd

from cry_pipeline.catalog.specs import ProtocolSpec
from cry_pipeline.folds.words import COLUMNS, TRAIN_ONLY, FoldError


def split_by_time(rows: pd.DataFrame, protocol: ProtocolSpec) -> pd.DataFrame:
    """Return the folds of ``temporal``: early rows with fold :data:`TRAIN_ONLY`, late rows of other donors with fold 0.

    A donor with recordings on both sides of the moment is given to the side on which it has more, to training
    where they are equal; its rows on the other side would be late rows of a donor trained on, or early rows of one
    tested, and are left out.

    Args:
        rows: recording_id, donor, label, recorded_at (with its time zone), sorted by recording_id.
        protocol: ``before``, or the ``quantile`` of recorded_at that is the moment.

    Returns:
        The columns of :func:`cry_pipeline.folds.splitting.make_folds`. ``attrs`` has no ``seeds``, as nothing is
        drawn; the ``moment``; and how many rows are ``left_out``, early and late.

    Raises:
        FoldError: a class has no recording to train on, or those to test are of fewer than two classes.
    """
    moment = _moment(rows["recorded_at"], protocol)
    late = rows["recorded_at"] >= moment
    later_donor = late.groupby(rows["donor"]).transform("mean") > 0.5
    used = late == later_donor
    folds = rows.assign(repeat=np.int64(0), fold=np.where(late, np.int64(0), np.int64(TRAIN_ONLY)))
    folds = folds.loc[used, COLUMNS].reset_index(drop=True)
    _check_sides(folds, set(rows["label"]), moment)
    left_out = {"early": int((~used & ~late).sum()), "late": int((~used & late).sum())}
    folds.attrs |= {"seeds": [], "moment": moment.isoformat(), "left_out": left_out}
    return folds


def _moment(recorded_at: pd.Series, protocol: ProtocolSpec) -> pd.Timestamp:
    if protocol.before is not None:
        return pd.Timestamp(protocol.before, tz="UTC")
    # A time that occurs: between two it would depend on how a library rounds.
    return recorded_at.sort_values().iloc[int(len(recorded_at) * (protocol.quantile or 0))]


def _check_sides(folds: pd.DataFrame, classes: set[str], moment: pd.Timestamp) -> None:
    trained = folds["fold"] == TRAIN_ONLY
    unseen = sorted(classes - set(folds.loc[trained, "label"]))
    asked = sorted(set(folds.loc[~trained, "label"]))
    if unseen:
        raise FoldError(
            f"Before {moment:%Y-%m-%d %H:%M} no recording of {', '.join(unseen)} can be trained on; choose a later "
            "moment, or merge or drop the class in the cohort's labels."
        )
    if len(asked) < 2:
        classes_there = f"{asked[0]} only" if asked else "no class"
        raise FoldError(
            f"From {moment:%Y-%m-%d %H:%M} on the donors not trained on have recordings of "
            f"{classes_there}; at least two classes must be tested: choose an earlier moment."
        )

"""Folds for cohorts that grow: a donor's fold is a hash of the donor, so that who comes or goes moves nobody else.

Belongs here: the hash, and the repairs that give every fold every class. Does not: protocols that draw folds
(splitting.py), nor how many donors a class needs, which is looked at there.

``donor_grouped`` balances folds over the whole cohort: one new donor may move any other, every fold model is another
one, and two runs of a growing cohort share few folds. Here only a class that some fold lacks moves anyone.
"""

import hashlib

import numpy as np
import pandas as pd

from cry_pipeline.folds.words import FoldError


def hashed_folds(rows: pd.DataFrame, folds: int, seed: int) -> np.ndarray:
    """Return the fold ``[rows]`` int64 that tests each row: hash(seed, donor) mod ``folds``, but for repairs.

    Rarest class first, each fold that lacks it is given one of its donors: of those whose own fold can spare them for
    this class and all rarer ones, one who takes the fewest other classes away and brings the most, and of equals the
    one whose hash with the fold is the lowest. Every class is then in every fold, and so on both sides of each.

    Args:
        rows: donor and label, in any order.
        folds: how many; every class has at least as many donors.
        seed: decides all hashes.

    Raises:
        FoldError: no donor of a class can be spared.
    """
    holds = pd.crosstab(rows["donor"], rows["label"]).to_numpy() > 0  # [donors, classes]
    donors = np.unique(rows["donor"].to_numpy(str))
    home = np.array([_hash(seed, donor) % folds for donor in donors], dtype=np.int64)
    classes, placed = sorted(set(rows["label"])), []
    # Of equally rare classes the one whose name comes first.
    for code in np.argsort(holds.sum(axis=0), kind="stable"):
        placed.append(code)
        for fold in range(folds):
            if not holds[home == fold, code].any():
                home[_spared(holds, home, fold, placed, donors, seed, classes[code])] = fold
    return home[np.searchsorted(donors, rows["donor"].to_numpy(str))]


def _spared(
    holds: np.ndarray, home: np.ndarray, fold: int, placed: list[int], donors: np.ndarray, seed: int, label: str
) -> int:
    """Return the donor who moves to ``fold`` for the last class of ``placed``, the rarer ones of which stay whole."""
    present = np.stack([holds[home == other].sum(axis=0) for other in range(int(home.max()) + 1)])  # [folds, classes]
    left = present[home] - holds  # what each donor's own fold would have without it, [donors, classes]
    taken = (left == 0) & holds
    free = holds[:, placed[-1]] & ~taken[:, placed].any(axis=1)
    if not free.any():
        raise FoldError(
            f"fold {fold} has no {label}, and no donor of it can be moved there without a rarer class vanishing from "
            "another fold: use fewer folds, or merge or drop the class in the cohort's labels"
        )
    brought = holds & ~holds[home == fold].any(axis=0)
    order = [
        (int(taken[donor].sum()), -int(brought[donor].sum()), _hash(seed, donors[donor], fold), donor)
        for donor in np.flatnonzero(free)
    ]
    return int(min(order)[-1])


def _hash(seed: int, donor: str, *further: int) -> int:
    text = "\0".join([str(seed), *map(str, further), donor])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

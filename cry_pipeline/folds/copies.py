"""Copies of recordings in a table of folds, as ``augment_then_split`` makes them.

Belongs here: which copies there are and what they are called. Does not: what a copy sounds like
(training/copies.py), or splitting.

The mistake: a small corpus is augmented first, and the augmented one is then split by clip. Copies are then
rows like any other, tested as well as trained on, and nearly every tested row has been trained on in another
copy. Whoever does so also evaluates on the copies; so does this pipeline here, which is why they are rows of the
table of folds. Figures from it are figures of the mistake: they say nothing of recordings not trained on.
"""

from collections.abc import Iterable

import pandas as pd

from cry_pipeline.catalog.specs import ProtocolSpec

MARK = "+"
"""Between a recording's id, which is hexadecimal, and the number of a copy of it."""


def with_copies(rows: pd.DataFrame, protocol: ProtocolSpec) -> pd.DataFrame:
    """Return ``rows`` and the copies that ``protocol`` makes of them, sorted by recording_id; most make none.

    Copies are called ``<recording_id>+<number from 1>``. With ``oversample`` the recordings of a class take turns
    until it has as many rows as the largest class.

    Args:
        rows: recording_id, donor and label, sorted by recording_id.
        protocol: ``copies`` and ``oversample``.
    """
    in_class = rows.groupby("label")["label"].transform("size")
    counts = pd.Series(1 + protocol.copies, index=rows.index)
    if protocol.oversample:
        wanted, turn = in_class.max() * counts, rows.groupby("label").cumcount()
        counts = wanted // in_class + (turn < wanted % in_class)
    multiplied = rows.loc[rows.index.repeat(counts)]
    numbers = multiplied.groupby("recording_id").cumcount()
    ids = multiplied["recording_id"].where(numbers == 0, multiplied["recording_id"] + MARK + numbers.astype(str))
    return multiplied.assign(recording_id=ids).sort_values("recording_id", ignore_index=True)


def parse_copy(recording_id: str) -> tuple[str, int]:
    """Return the id of the recording and the number of the copy, 0 for the recording itself."""
    original, _, number = recording_id.partition(MARK)
    return original, int(number or 0)


def recordings_of(recording_ids: Iterable[str]) -> list[str]:
    """Return, sorted, each recording that is among ``recording_ids`` itself or as a copy."""
    return sorted({parse_copy(name)[0] for name in recording_ids})

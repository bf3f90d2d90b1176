"""Rows that lie in several parts → the arrays that were asked for, in the order that was asked for.

Belongs here: putting them together. Does not: which part each row is taken from (snapshots.py), and reading a part
(parts.py).
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.store.parts import Part
from cry_pipeline.features.store.rows import FeatureRows, RowKey

Place = tuple[Part, int]
"""A part, and the row in it."""


def gathered(
    keys: Sequence[RowKey], places: Sequence[Place], kinds: Sequence[str], spec: FeatureSetSpec
) -> FeatureRows:
    """Return the arrays ``kinds`` of the rows ``keys``, which lie at ``places``, in their order.

    Raises:
        FeatureStoreError: a part is not as it was written.
    """
    wanted: dict[Part, list[tuple[int, int]]] = defaultdict(list)
    offsets = np.zeros(len(keys) + 1, np.int64)
    for position, (part, row) in enumerate(places):
        wanted[part].append((row, position))
        offsets[position + 1] = offsets[position] + part.offsets[row + 1] - part.offsets[row]
    arrays = {kind: _gathered(kind, wanted, offsets, spec) for kind in kinds}
    ids, samples = ([key[side] for key in keys] for side in (0, 1))
    return FeatureRows(tuple(ids), offsets, arrays, tuple(samples))


def _gathered(
    kind: str, wanted: dict[Part, list[tuple[int, int]]], offsets: np.ndarray, spec: FeatureSetSpec
) -> np.ndarray:
    """Return the array ``kind`` of all rows ``wanted``: by part, the row in it and the position asked for."""
    per_frame = KINDS[kind].rows == "frame"
    targets = offsets if per_frame else np.arange(len(offsets))
    array = np.empty((targets[-1], KINDS[kind].width(spec)), KINDS[kind].dtype)
    for part, pairs in wanted.items():
        sources = part.offsets if per_frame else np.arange(len(part.offsets))
        runs = _runs(sorted({row for row, _ in pairs}))
        values = part.read(kind, [(sources[first], sources[last + 1]) for first, last in runs])
        values_of = {
            row: run[sources[row] - sources[first] : sources[row + 1] - sources[first]]
            for (first, last), run in zip(runs, values, strict=True)
            for row in range(first, last + 1)
        }
        for row, position in pairs:
            array[targets[position] : targets[position + 1]] = values_of[row]
    return array


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of neighbours in the sorted ``rows``."""
    edges = np.flatnonzero(np.diff(rows) != 1)
    return list(zip((rows[edge] for edge in [0, *(edges + 1)]), (rows[edge] for edge in [*edges, -1]), strict=True))

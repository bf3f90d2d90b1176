"""Rows whose right values anyone can tell from their names, and what is wrong with a store that holds them.

Belongs here: making and judging rows. Does not: faults.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.stated import Stated, samples_of_name

SPEC = FeatureSetSpec.model_validate(
    {
        "sample_rate_hz": 8000,
        "n_fft": 64,
        "window_samples": 64,
        "hop_samples": 32,
        "mels": 8,
        "fmax_hz": 4000,
        "mfcc": 4,
    }
)


def rows_of(names: Iterable[str]) -> FeatureRows:
    """Return rows of ``names``: 1 to 8 frames each, number and values decided by the name alone."""
    recordings = {}
    for name in names:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        frames = int(rng.integers(1, 9))
        recordings[name] = {
            kind: rng.normal(-50, 10, (frames, about.width(SPEC))[about.rows == "recording" :]).astype(about.dtype)
            for kind, about in kinds_of(SPEC).items()
        }
    return stack_rows(recordings, [samples_of_name(name) for name in recordings])


def open_store(uri: str | Path) -> FeatureStore:
    """Return a new reader or writer of the store at ``uri``."""
    return FeatureStore.open(uri, SPEC).of(Stated())


def wrong_rows(store: FeatureStore, names: Iterable[str]) -> int:
    """Return how many of ``names`` read as other values than were written; raises where one cannot be read."""
    ids = sorted(names)
    read, expected = store.read(ids, store.kinds), rows_of(ids) if ids else None
    if expected is None:
        return 0
    if not np.array_equal(read.offsets, expected.offsets):
        return len(ids)
    same = [all(np.array_equal(read.of(k, i), expected.of(k, i)) for k in store.kinds) for i in range(len(ids))]
    return same.count(False)

"""What the tests of parts that come and go have in common: looks at a store, and damage to it."""

from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline.features.store.rows import FeatureRows, samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.stated import Stated

NOW = 0.0
"""``readers_s`` for a store that nobody reads."""


def folder_of(store: FeatureStore) -> Path:
    """The folder of a store on this machine."""
    return Path(store.uri)


def assert_holds(store: FeatureStore, rows: FeatureRows) -> None:
    read = store.read(rows.recording_ids, store.kinds)
    for kind, array in rows.arrays.items():
        np.testing.assert_array_equal(read.arrays[kind], array, err_msg=kind)


def reopened(store: FeatureStore) -> FeatureStore:
    return FeatureStore.open(folder_of(store).parent, store.spec).of(Stated())


def parts_there(store: FeatureStore) -> set[str]:
    return {path.name for path in (folder_of(store) / "parts").iterdir()}


def damage(store: FeatureStore, part: str) -> None:
    chunk = folder_of(store) / "parts" / part / "mel" / "c.0.0"
    content = chunk.read_bytes()
    chunk.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def files_of(store: FeatureStore, part: str) -> list:
    return [path for path in (folder_of(store) / "parts" / part).rglob("*") if path.is_file()]


def bound(store: FeatureStore, recordings: pd.DataFrame) -> FeatureStore:
    """The store as the manifest's readers see it."""
    return store.of(samples_of(recordings))

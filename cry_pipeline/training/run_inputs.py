"""What the folds of a run have in common to read: features, images, metadata.

Belongs here: getting them, once for all folds. Does not: which rows a fold may see (runs.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.training.datasets import Rows, TrainingDataError, metadata_of, rows_of, select
from cry_pipeline.training.run_images import resident_kinds, with_images

if TYPE_CHECKING:
    from cry_pipeline.features.store.rows import FeatureRows
    from cry_pipeline.training.run_images import FeatureReader


@dataclass(frozen=True)
class RunFeatures:
    """What a run is told of features.

    Args:
        digest: of the feature set.
        arrays: those named in the model's ``inputs`` for the recordings of the folds, or a function that reads some of
            them, so that not all need be in memory at once; None where the model has no inputs. Where the folds hold
            copies, ``spectrogram`` is read too, of which they are made.
        rows: the store's data version of the rows that ``arrays`` has of these recordings.
        parts: the store's snapshot that ``arrays`` are read from; noted in the provenance, not in the digest.
        left_out: recordings that have no features and never will, and why: neither trained on nor tested.
    """

    digest: str
    arrays: FeatureRows | FeatureReader | None = None
    rows: str | None = None
    parts: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def metadata_digest(columns: Sequence[str], folds: pd.DataFrame, metadata: pd.DataFrame | None) -> dict[str, str]:
    """Return the digest of the columns that a model reads of the folds' recordings; nothing where it reads none."""
    if not columns:
        return {}
    ids = sorted(set(folds["recording_id"]))
    missing = [column for column in columns if metadata is None or column not in metadata]
    if metadata is None or missing:
        raise TrainingDataError(f"The model reads {', '.join(missing)} of the manifest; give train_run its `metadata`.")
    return {"metadata": table_digest(metadata_of(ids, metadata)[["recording_id", *columns]])}


def reader_of(features: FeatureRows | FeatureReader | None) -> FeatureReader:
    """Return a function that reads features, by id and kind, from wherever they are."""
    if features is None:
        raise TrainingDataError("The model reads features, and none were given; give RunFeatures the `arrays`.")
    if callable(features):
        return features
    return lambda ids, kinds: select(features, ids, kinds)


@contextmanager
def run_rows(
    folds: pd.DataFrame,
    classes: Sequence[str],
    model: BaseModelSpec,
    read: FeatureReader | None,
    metadata: pd.DataFrame | None,
    memory_mib: int,
    folder: Path,
) -> Iterator[Rows]:
    """Give the rows of all folds with what the model reads of them; images are made once for all folds."""
    metadata = metadata if model.metadata else None
    if read is None:
        yield rows_of(folds, classes, None, metadata)
        return
    ids = sorted(set(folds["recording_id"]))
    rows = rows_of(folds, classes, read(ids, resident_kinds(model)), metadata)
    with with_images(rows, model, read, memory_mib=memory_mib, folder=folder) as seen:
        yield seen

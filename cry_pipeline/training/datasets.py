"""What models are fitted on and asked about: rows of a cohort with their features, in memory.

Belongs here: selecting rows with their features, and checking both. Does not: hybrid images and their
standardisation (features/hybrid.py), and who is in which fold (folds/splitting.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cry_pipeline.features.kinds import KINDS

if TYPE_CHECKING:
    from cry_pipeline.features.store.rows import FeatureRows
    from cry_pipeline.training.images import ImageKey, Images


class TrainingDataError(ValueError):
    """Rows cannot be trained on; the message names recordings, what is wrong, and what to do."""


@dataclass(frozen=True)
class Rows:
    """Recordings, in one order for metadata and features.

    Args:
        table: one row per recording: recording_id, donor, and label where it may be known.
        classes: all classes of the cohort in the order of labels, logits and probabilities.
        features: the same recordings' arrays in the same order; None for models without inputs.
        metadata: recording_id and columns of the manifest, in the same order; None for models that read none.
        images: what networks see of the same recordings, where the run has made it, see run_images.py.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    features: FeatureRows | None = None
    metadata: pd.DataFrame | None = None
    images: Mapping[ImageKey, Images] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.features is not None and list(self.features.recording_ids) != self.recording_ids:
            raise TrainingDataError("The features are not those of the rows, or in another order; use rows_of().")
        if self.metadata is not None and self.metadata["recording_id"].tolist() != self.recording_ids:
            raise TrainingDataError("The metadata are not those of the rows, or in another order; use rows_of().")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def recording_ids(self) -> list[str]:
        """Recording ids, in order."""
        return self.table["recording_id"].tolist()

    @property
    def codes(self) -> np.ndarray:
        """Position of each label in ``classes``: int64 ``[recordings]``."""
        return pd.Categorical(self.table["label"], categories=list(self.classes)).codes.astype(np.int64)

    def with_arrays(self, kinds: Sequence[str]) -> FeatureRows:
        """Return the features; where ``kinds`` are not among them, or are not finite, raise TrainingDataError."""
        features = self.features
        missing = [kind for kind in kinds if features is None or kind not in features.arrays]
        if features is None or missing:
            raise TrainingDataError(f"The model needs {', '.join(missing)}, not read here; read the model's `inputs`.")
        for kind in kinds:
            if not np.isfinite(features.arrays[kind]).all():
                raise TrainingDataError(
                    f"Some {kind} values are not finite; run `cry-pipeline store verify`, then extract again."
                )
        return features

    def with_columns(self, columns: Sequence[str]) -> pd.DataFrame:
        """Return ``columns`` of the manifest; where they are not among the metadata, raise TrainingDataError."""
        missing = [name for name in columns if self.metadata is None or name not in self.metadata]
        if self.metadata is None or missing:
            raise TrainingDataError(
                f"The model needs {', '.join(missing)} of the manifest, not read here; read the model's `metadata`."
            )
        return self.metadata[list(columns)]

    def take(self, ids: Sequence[str]) -> Rows:
        """Return the rows of ``ids``, in their order; the arrays are copies that hold nothing else.

        Of images that the run has made there are no copies, but positions in them.
        """
        positions = pd.Index(self.recording_ids).get_indexer(pd.Index(ids))
        if (positions < 0).any():
            raise TrainingDataError(f"Recording {ids[int(np.argmin(positions))]} is not among the rows.")
        table = self.table.iloc[positions].reset_index(drop=True)
        return Rows(
            table,
            self.classes,
            None if self.features is None else _take(self.features, positions),
            None if self.metadata is None else self.metadata.iloc[positions].reset_index(drop=True),
            {key: images.take(positions) for key, images in self.images.items()},
        )

    def without_labels(self) -> Rows:
        """Return the rows as a fitted model may see them."""
        return replace(self, table=self.table.drop(columns="label"))


def rows_of(
    folds: pd.DataFrame,
    classes: Sequence[str],
    features: FeatureRows | None,
    metadata: pd.DataFrame | None = None,
) -> Rows:
    """Return each recording of ``folds`` once, sorted by id, with its features and metadata.

    Args:
        folds: recording_id, donor, label, repeat, fold; one row per recording and repeat.
        classes: the cohort's classes.
        features: arrays of these recordings and perhaps others, in any order; None for models without inputs.
        metadata: recording_id and columns of the manifest for these recordings and perhaps others, in any order.

    Raises:
        TrainingDataError: a label is not a class, a recording has two labels, or features or metadata are missing.
    """
    table = folds[["recording_id", "donor", "label"]].drop_duplicates().sort_values("recording_id", ignore_index=True)
    repeated = table.loc[table["recording_id"].duplicated(), "recording_id"]
    if len(repeated):
        raise TrainingDataError(f"Recording {repeated.iloc[0]} has two labels or donors; make the folds again.")
    unknown = sorted(set(table["label"]) - set(classes))
    if unknown:
        raise TrainingDataError(
            f"The folds have labels {', '.join(unknown)}, which are not among the classes {', '.join(classes)}."
        )
    if metadata is not None:
        metadata = metadata_of(table["recording_id"], metadata)
    if features is None:
        return Rows(table, tuple(classes), metadata=metadata)
    positions = pd.Index(features.recording_ids).get_indexer(pd.Index(table["recording_id"]))
    missing = table.loc[positions < 0, "recording_id"]
    if len(missing):
        raise TrainingDataError(
            f"{len(missing)} of {len(table)} recordings have no features, first {missing.iloc[0]}; "
            "extract the feature set's missing recordings first."
        )
    return Rows(table, tuple(classes), _take(features, positions), metadata)


def metadata_of(ids: Sequence[str] | pd.Series, metadata: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``metadata`` for ``ids``, in their order; where some are missing, raise TrainingDataError."""
    positions = pd.Index(metadata["recording_id"]).get_indexer(pd.Index(ids))
    if (positions < 0).any():
        raise TrainingDataError(
            f"{int((positions < 0).sum())} of {len(positions)} recordings are not in the manifest, first "
            f"{list(ids)[int(np.argmin(positions))]}; make the folds again."
        )
    return metadata.iloc[positions].reset_index(drop=True)


def select(features: FeatureRows, ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
    """Return the arrays ``kinds`` of ``ids``, in their order; where some are missing, raise TrainingDataError."""
    positions = pd.Index(features.recording_ids).get_indexer(pd.Index(ids))
    missing = [name for name, position in zip(ids, positions, strict=True) if position < 0]
    if missing:
        raise TrainingDataError(
            f"{len(missing)} of {len(ids)} recordings have no features, first {missing[0]}; "
            "extract the feature set's missing recordings first."
        )
    absent = [kind for kind in kinds if kind not in features.arrays]
    if absent:
        raise TrainingDataError(f"The model needs {', '.join(absent)}, not read here; read the model's `inputs`.")
    return _take(replace(features, arrays={kind: features.arrays[kind] for kind in kinds}), positions)


def _take(features: FeatureRows, positions: np.ndarray) -> FeatureRows:
    """Return the recordings at ``positions`` of ``features``, each array by recording or by frame."""
    lengths = np.diff(features.offsets)[positions]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    frames = np.arange(offsets[-1]) + np.repeat(features.offsets[positions] - offsets[:-1], lengths)
    arrays = {
        kind: values[positions if KINDS[kind].rows == "recording" else frames]
        for kind, values in features.arrays.items()
    }
    ids = tuple(features.recording_ids[position] for position in positions)
    samples = tuple(features.samples_digests[position] for position in positions if features.samples_digests)
    return replace(features, recording_ids=ids, offsets=offsets, arrays=arrays, samples_digests=samples)

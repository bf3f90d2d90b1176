"""Models solved in one go on one row of values per recording: what they have in common.

Belongs here: fitting, inner folds to calibrate by, and files that hold named arrays. Does not: any one model
(baselines.py, forests.py, svm.py), and cross-validation of a run (runs.py). What is saved are numbers, from which
NumPy alone computes predictions.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.training.calibration import HeldOut, Recalibration
from cry_pipeline.training.checkpoints import Checkpoint, recalibration_of, recalibration_tensors, write_checkpoint
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.models import Epoch, FitSettings

SpecT = TypeVar("SpecT", bound=BaseModelSpec)
Tensors = Mapping[str, np.ndarray]
INNER_FOLDS = 3


class ValueModel(ABC, Generic[SpecT]):
    """A kind of model on one row of values per recording; ``spec`` is the class of its specs."""

    spec: type[SpecT]
    calibrated = True
    """Whether slope and intercepts are fitted, on inner folds of the training rows by donor."""

    @abstractmethod
    def values(self, spec: SpecT, rows: Rows) -> np.ndarray:
        """Return what the model sees ``[recordings, values]``; nothing in it is fitted."""

    @abstractmethod
    def solve(self, spec: SpecT, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Return the fitted arrays; ``codes [recordings]`` hold each of ``range(classes)``."""

    @abstractmethod
    def answer(self, spec: SpecT, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return probabilities ``[recordings, classes]`` by the fitted arrays."""

    def fit(self, spec: SpecT, train: Rows, settings: FitSettings) -> "FittedValues":
        """Fit to ``train``; where it is to be calibrated, fit inner folds of it too."""
        values, codes, classes = self.values(spec, train), train.codes, len(train.classes)
        tensors = dict(self.solve(spec, values, codes, classes, settings.seed))
        held_out = self._held_out(spec, train, values, settings.seed) if self.calibrated else None
        tensors |= recalibration_tensors(held_out.recalibration if held_out else Recalibration.none(classes))
        checkpoint = Checkpoint(spec.kind_name, train.classes, spec.model_dump(mode="json"), tensors)
        return FittedValues(self, checkpoint, held_out)

    def restore(self, checkpoint: Checkpoint) -> "FittedValues":
        """Return what was saved as ``checkpoint``."""
        return FittedValues(self, checkpoint)

    def _held_out(self, spec: SpecT, train: Rows, values: np.ndarray, seed: int) -> HeldOut | None:
        codes, ids = train.codes, np.array(train.recording_ids)
        parts = []
        for fit, held_rows in inner_folds(codes, train.table["donor"].to_numpy(str), len(train.classes), seed):
            tensors = self.solve(spec, values[fit], codes[fit], len(train.classes), seed)
            parts.append((held_rows, self.answer(spec, tensors, values[held_rows])))
        if not parts:
            return None
        held_rows = np.concatenate([rows for rows, _ in parts])
        return HeldOut(ids[held_rows].tolist(), codes[held_rows], np.concatenate([answers for _, answers in parts]))


class FittedValues:
    """A fitted model that is its checkpoint: there is nothing else to it than named arrays."""

    history: tuple[Epoch, ...] = ()

    def __init__(self, model: ValueModel[Any], checkpoint: Checkpoint, held_out: HeldOut | None = None) -> None:
        self.model = model
        self.checkpoint = checkpoint
        self.held_out = held_out

    @property
    def notes(self) -> dict[str, Any]:
        """See :class:`~cry_pipeline.training.models.FittedModel`."""
        return {"device": "cpu", "bit_reproducible": "on the same machine and library versions"}

    @property
    def recalibration(self) -> Recalibration:
        """See :class:`~cry_pipeline.training.models.FittedModel`."""
        return recalibration_of(self.checkpoint)

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return probabilities ``[recordings, classes]``, float64."""
        spec = self.model.spec.model_validate(self.checkpoint.spec)
        return self.model.answer(spec, self.checkpoint.tensors, self.model.values(spec, rows))

    def save(self, path: Path) -> None:
        """Write the arrays to ``path``."""
        write_checkpoint(path, self.checkpoint)


def inner_folds(
    codes: np.ndarray, donors: np.ndarray, classes: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions to fit and positions held out, by donor; folds that would miss a class in fitting are left out.

    A class of a single donor thus costs the one fold that holds it.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(INNER_FOLDS, len(np.unique(donors)), int(np.bincount(codes, minlength=classes).max()))
    if folds < 2:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        for fit, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(codes, codes, donors):
            if len(np.unique(codes[fit])) == classes and len(held_out):
                yield fit, held_out


def statistics(rows: Rows) -> np.ndarray:
    """Return the rows' pooled statistics, float64 ``[recordings, values]``."""
    return rows.with_arrays(["statistics"]).arrays["statistics"].astype(np.float64)

"""Out-of-fold predictions as arrays, once they are known to be just that.

Belongs here: refusing predictions that no evidence may rest on. Does not: metrics, or making predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.folds.words import tested
from cry_pipeline.training.calibration import of_columns

KEYS = ["recording_id", "repeat"]
SUM_TOLERANCE = 1e-6
"""Probabilities of a prediction add up to 1 within so much."""


class EvidenceError(ValueError):
    """Predictions that evidence cannot rest on; the message says which rows and what to do."""


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of fold models for the recordings that these did not see, in the order of recording ids.

    Attributes:
        recording_ids: str [recordings].
        donors: str [recordings].
        labels: index of the true class, int [recordings].
        folds: the fold that tested the recording, int [repeats, recordings].
        probabilities: float64 [repeats, recordings, classes].
        classes: names of the classes.
        slopes: what calibrates each row, with its intercepts: softmax(slope · log p + intercept); float64 [repeats,
            recordings], 1 where the model fitted none. See :mod:`cry_pipeline.training.calibration`.
        intercepts: float64 [repeats, recordings, classes], 0 where the model fitted none.
        name: what the run is called in comparisons.
    """

    recording_ids: NDArray
    donors: NDArray
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    probabilities: Floats
    classes: tuple[str, ...]
    slopes: Floats
    intercepts: Floats
    name: str = ""

    def saying(self, probabilities: Floats, name: str | None = None) -> Self:
        """Return the same recordings with other ``probabilities``, which need no calibration."""
        slopes, intercepts = np.ones_like(self.slopes), np.zeros_like(self.intercepts)
        name = self.name if name is None else name
        return replace(self, probabilities=probabilities, slopes=slopes, intercepts=intercepts, name=name)

    @property
    def shared_donors(self) -> int:
        """Donors that are on both sides of a split: tested in more than one fold of a repeat."""
        homes = pd.DataFrame({"donor": self.donors} | {str(repeat): fold for repeat, fold in enumerate(self.folds)})
        return int(homes.groupby("donor").nunique().gt(1).any(axis=1).sum())


def out_of_fold(predictions: pd.DataFrame, folds: pd.DataFrame, classes: Sequence[str], name: str = "") -> OutOfFold:
    """Check that ``predictions`` are exactly the test rows of ``folds`` and turn them into arrays.

    Args:
        predictions: columns recording_id, donor, label, repeat, fold, p_<class> for each class, and, where the model
            was calibrated, slope and intercept_<class> (or, from before these were, temperature).
        folds: what ``cry_pipeline.folds.splitting.make_folds`` returned for the run; rows that
            no fold tests do not count.
        classes: names of the classes in the cohort's order.
        name: what the run is called in comparisons.

    Raises:
        EvidenceError: there is no prediction; a column is missing, or is the probability of no class; a prediction is
            missing, repeated, or of a fold that trained on its recording; a label is no class; all labels are one
            class; probabilities are NaN, outside 0 to 1, or do not sum to 1; what calibrates them is no number, is a
            slope that is not above 0, or differs within a fold.
    """
    columns = _probability_columns(predictions, classes)
    _check_rows(predictions, tested(folds))
    if predictions.empty:
        raise EvidenceError("There is no prediction, so nothing to evaluate: the folds test no recording.")
    rows = predictions.sort_values(["repeat", "recording_id"], ignore_index=True)
    _check_probabilities(rows, columns)
    slopes, intercepts = _recalibrations(rows, classes)
    repeats = rows["repeat"].nunique()
    first = rows.iloc[: len(rows) // repeats]
    return OutOfFold(
        recording_ids=first["recording_id"].to_numpy(str),
        donors=first["donor"].to_numpy(str),
        labels=_class_codes(first["label"], classes),
        folds=rows["fold"].to_numpy(np.int64).reshape(repeats, -1),
        probabilities=rows[columns].to_numpy(np.float64).reshape(repeats, -1, len(classes)),
        classes=tuple(classes),
        slopes=slopes.reshape(repeats, -1),
        intercepts=intercepts.reshape(repeats, -1, len(classes)),
        name=name,
    )


def _probability_columns(predictions: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return the columns of the classes' probabilities, having checked that all columns are there."""
    columns = [f"p_{name}" for name in classes]
    needed = ["recording_id", "donor", "label", "repeat", "fold", *columns]
    needed += [f"intercept_{name}" for name in classes] if "slope" in predictions else []
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise EvidenceError(f"Predictions lack the columns {', '.join(missing)}; the run was made for other classes.")
    strange = [str(name) for name in predictions if str(name).startswith("p_") and name not in columns]
    if strange:
        raise EvidenceError(f"Predictions hold {', '.join(strange)}, of no class; the run was made for other classes.")
    return columns


def _class_codes(labels: pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each label among ``classes``."""
    codes = pd.Index(classes).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = ", ".join(sorted(set(labels[codes < 0])))
        raise EvidenceError(
            f"Predictions hold labels that are no class: {unknown}; the classes are {', '.join(classes)}."
        )
    if len(np.unique(codes)) < 2:
        raise EvidenceError(f"All recordings are {labels.iloc[0]}; there is nothing to tell apart.")
    return codes.astype(np.int64)


def _recalibrations(rows: pd.DataFrame, classes: Sequence[str]) -> tuple[Floats, Floats]:
    """Return slopes [rows] and intercepts [rows, classes]; each fold has one."""
    slopes, intercepts = of_columns(rows, classes)
    broken = rows[~(np.isfinite(slopes) & (slopes > 0) & np.isfinite(intercepts).all(axis=1))]
    if len(broken):
        raise EvidenceError(
            f"{len(broken)} predictions have no slope above 0 with an intercept for each class, first "
            f"{_name(broken)}; train again."
        )
    table = pd.DataFrame(np.column_stack([slopes, intercepts]), index=rows.index)
    mixed = (table.groupby([rows["repeat"], rows["fold"]]).transform("nunique") > 1).any(axis=1)
    if mixed.any():
        raise EvidenceError(
            f"{int(mixed.sum())} predictions are calibrated otherwise than others of their fold, first "
            f"{_name(rows[mixed])}; a fold has one slope. Train again."
        )
    return slopes, intercepts


def _check_rows(predictions: pd.DataFrame, folds: pd.DataFrame) -> None:
    if folds.duplicated(KEYS).any() or (folds.groupby("recording_id").size() != folds["repeat"].nunique()).any():
        raise EvidenceError("The folds do not hold each recording once in every repeat; make them again.")
    repeated = predictions[predictions.duplicated(KEYS)]
    if len(repeated):
        raise EvidenceError(
            f"{len(repeated)} predictions come more than once, first {_name(repeated)}; each recording is tested "
            "once per repeat. Remove the run's folder and train it again."
        )
    both = folds.merge(predictions, on=KEYS, how="outer", suffixes=("", "_predicted"), indicator="found")
    lost, stray = both[both["found"] == "left_only"], both[both["found"] == "right_only"]
    if len(lost):
        raise EvidenceError(
            f"{len(lost)} recordings have no prediction, first {_name(lost)}; complete the run's folds first."
        )
    if len(stray):
        raise EvidenceError(
            f"{len(stray)} predictions are of recordings outside the folds, first {_name(stray)}; use its own folds."
        )
    for column, fault in {
        "fold": "by a fold whose model trained on the recording",
        "label": "for another label than the folds hold",
        "donor": "for another donor than the folds hold",
    }.items():
        wrong = both[both[column] != both[f"{column}_predicted"]]
        if len(wrong):
            raise EvidenceError(
                f"{len(wrong)} predictions are {fault}, first {_name(wrong)}; they are not out-of-fold."
            )


def _check_probabilities(rows: pd.DataFrame, columns: list[str]) -> None:
    values = rows[columns].to_numpy(np.float64)
    faults = {
        "NaN or infinite": ~np.isfinite(values).all(axis=1),
        "outside 0 to 1": (values < 0).any(axis=1) | (values > 1).any(axis=1),
        "not summing to 1": np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE,
    }
    for fault, wrong in faults.items():
        if wrong.any():
            raise EvidenceError(
                f"{int(wrong.sum())} predictions have probabilities {fault}, first {_name(rows[wrong])}; the model "
                "that made them is broken: look at the fold's history, mend it and train again."
            )


def _name(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{str(row['recording_id'])[:16]} in repeat {row['repeat']}"

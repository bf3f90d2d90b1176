"""One fold of a run: fitted to what it does not test, asked about what it tests, and kept.

Belongs here: what a model is shown of a fold, and what is noted about its training. Does not: which folds a run has
and which were trained before (runs.py), fitting (baselines.py, trainer.py), the files (fold_folders.py).
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline.training.calibration import columns
from cry_pipeline.training.fold_folders import write_fold
from cry_pipeline.training.models import FitSettings, FittedModel
from cry_pipeline.training.provenance import environment
from cry_pipeline.training.registry import implementation

if TYPE_CHECKING:
    from cry_pipeline.catalog import ExperimentSpec, ModelSpec
    from cry_pipeline.training.datasets import Rows

Key = tuple[int, int]
"""Repeat and fold."""


class RunError(ValueError):
    """A run cannot be trained as asked; the message says why and what to change."""


@dataclass(frozen=True)
class FoldTraining:
    """What the folds of a run have in common; trains one of them.

    ``experiment`` is called ``name`` and asks for ``model``; ``parts`` are what ``digest`` is of; the ``run``'s folder
    holds a folder for each of ``folds``; ``feature_parts`` and ``left_out``, recordings without features and why, are
    noted in the provenance.
    """

    name: str
    digest: str
    parts: dict[str, Any]
    experiment: "ExperimentSpec"
    model: "ModelSpec"
    settings: FitSettings
    folds: pd.DataFrame
    run: Path
    feature_parts: list[str]
    left_out: dict[str, str]

    def folder(self, key: Key) -> Path:
        """Return where fold ``key`` is kept."""
        return fold_folder(self.run, key)

    def train(self, rows: "Rows", key: Key) -> pd.DataFrame:
        """Train fold ``key``, write its folder, return its predictions.

        Raises:
            RunError: the model's answers are no probabilities; the fold is not kept.
        """
        started, clock = datetime.now(UTC), time.perf_counter()
        train_ids, test_ids = _sides(self.folds, key)
        train, test = rows.take(train_ids), rows.take(test_ids)
        settings = self._settings(key)
        fitted = implementation(self.model.kind).fit(self.model, train, settings)
        predictions = _predict(fitted, test, key)
        provenance = {
            "digest": self.digest,
            "experiment": self.name,
            "repeat": key[0],
            "fold": key[1],
            "seed": settings.seed,
            "made_from": self.parts,
            "catalog": self.experiment.model_dump(mode="json"),
            "feature_parts": self.feature_parts,
            "left_out": self.left_out,
            "train": _size(train),
            "test": _size(test),
            "fitted": {**fitted.notes, **columns(fitted.recalibration, train.classes)},
            "environment": environment(),
            "started_at": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
        }
        write_fold(self.folder(key), fitted, predictions, provenance)
        return predictions

    def _settings(self, key: Key) -> FitSettings:
        curves = self.settings.curves and self.settings.curves / self.folder(key).name
        title = f"{self.name} fold {key[0]}-{key[1]}"
        of_fold = {"seed": fold_seed(self.experiment.seed, *key), "title": title, "curves": curves}
        return replace(self.settings, **of_fold, run=self.digest, cohort=self.experiment.cohort)


def fold_seed(seed: int, repeat: int, fold: int) -> int:
    """Return the seed of one fold: different for each fold, the same in every run with the same ``seed``."""
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])


def fold_folder(run: Path, key: Key) -> Path:
    """Return where fold ``key`` of the run in folder ``run`` is kept."""
    return run / f"fold-{key[0]}-{key[1]}"


def _sides(folds: pd.DataFrame, key: Key) -> tuple[list[str], list[str]]:
    """Return the recording ids to fit to, those that no fold tests among them, and those to test, each sorted."""
    repeat, fold = key
    rows = folds[folds["repeat"] == repeat].sort_values("recording_id")
    here = rows["fold"] == fold
    return rows["recording_id"][~here].tolist(), rows["recording_id"][here].tolist()


def _size(rows: "Rows") -> dict[str, int]:
    return {"recordings": len(rows), "donors": int(rows.table["donor"].nunique())}


def _predict(fitted: FittedModel, test: "Rows", key: Key) -> pd.DataFrame:
    """Return the columns of a run's predictions for ``test``."""
    probabilities = fitted.predict_probabilities(test.without_labels())
    if probabilities.shape != (len(test), len(test.classes)) or not np.allclose(
        probabilities.sum(axis=1), 1, atol=1e-6
    ):
        raise RunError(
            f"A {type(fitted).__name__} gave probabilities {list(probabilities.shape)} that do not sum to 1 for "
            f"{len(test)} recordings and {len(test.classes)} classes; the fold is not kept."
        )
    predictions = test.table[["recording_id", "donor", "label"]]
    predictions = predictions.assign(repeat=np.int64(key[0]), fold=np.int64(key[1]))
    said = {f"p_{label}": probabilities[:, code] for code, label in enumerate(test.classes)}
    return predictions.assign(**said, **columns(fitted.recalibration, test.classes))

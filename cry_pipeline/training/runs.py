"""Runs: an experiment's folds, trained or taken from before.

Belongs here: what a run is made from and its digest, which rows a fold may see, resuming. Does not: how a
model is fitted (baselines.py, trainer.py), and what its predictions are worth (evaluation).
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog import Catalog, ExperimentSpec, digest
from cry_pipeline.progress import track
from cry_pipeline.training.datasets import Rows, rows_of
from cry_pipeline.training.fold_folders import read_fold, reusable, write_fold
from cry_pipeline.training.models import FitSettings, FittedModel
from cry_pipeline.training.provenance import environment
from cry_pipeline.training.registry import MODELS, implementation

if TYPE_CHECKING:
    from cry_pipeline.features.rows import FeatureRows

LOG = logging.getLogger("cry_pipeline")
REVISION = 1
"""Raised when a change of this module changes which rows a fold sees or what it is seeded with."""


class RunError(ValueError):
    """A run cannot be trained as asked; the message says why and what to change."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: out-of-fold ``predictions`` of all folds, and how many folds were trained or reused.

    ``predictions`` has the columns recording_id, donor, label, repeat, fold, then ``p_<class>`` (float64, rows sum to
    1) for each class in the cohort's order; sorted by repeat, fold and recording_id.
    """

    digest: str
    folder: Path
    computed: int
    reused: int
    predictions: pd.DataFrame


def run_parts(experiment: ExperimentSpec, catalog: Catalog, folds: pd.DataFrame, feature_digest: str) -> dict[str, Any]:
    """Return, as JSON types, all that decides a run's predictions; names and descriptions are not in it.

    Recordings outside the folds do not enter it; the feature set does not where the model reads no features.
    """
    model = catalog.models[experiment.model]
    columns = ["repeat", "fold", "recording_id", "donor", "label"]
    rows = folds[columns].sort_values(columns)
    return {
        "spec": {
            "model": model.model_dump(mode="json", exclude={"description"}),
            "classes": list(catalog.cohorts[experiment.cohort].classes),
            "seed": experiment.seed,
        },
        "inputs": {
            "folds": table_digest(rows),
            "features": feature_digest if model.inputs else None,
        },
        "revision": [REVISION, MODELS[model.kind].revision],
    }


def run_digest(experiment: ExperimentSpec, catalog: Catalog, folds: pd.DataFrame, feature_digest: str) -> str:
    """Return the sha256 of :func:`run_parts`; runs with equal digests have equal predictions."""
    return digest(**run_parts(experiment, catalog, folds, feature_digest))


def train_run(
    name: str,
    catalog: Catalog,
    folds: pd.DataFrame,
    features: "FeatureRows | None",
    *,
    feature_digest: str,
    runs: Path,
    accelerator: str = "auto",
    threads: int = 1,
    feature_parts: Sequence[str] = (),
) -> RunResult:
    """Train the folds of experiment ``name`` that have not been trained before; return all folds' predictions.

    A fold is fitted to the recordings of its repeat that it does not test, and is kept in
    ``<runs>/<name>/<first 16 of the digest>/fold-<repeat>-<fold>/``. It appears there when it is done, so an
    interrupted run goes on with the fold it was in. A fold whose files are damaged is said and trained again.

    Args:
        name: experiment in ``catalog``.
        folds: recording_id, donor, label, repeat, fold of the experiment's cohort and protocol.
        features: the arrays named in the model's ``inputs`` for these recordings; may be None where it has none.
        feature_digest: digest of the feature set.
        runs: root folder of all runs.
        accelerator: where networks are trained: auto, cpu or gpu.
        threads: CPU threads that train a network, see :class:`~cry_pipeline.training.registry.FitSettings`.
        feature_parts: the store's snapshot that ``features`` was read from; noted in the provenance, not in the digest.

    Raises:
        RunError: the experiment is unknown, or a class has no recording to learn from in some fold.
        TrainingDataError: labels and classes, or rows and features, do not fit together.
    """
    if name not in catalog.experiments:
        raise RunError(f"There is no experiment {name!r}; the catalog has {', '.join(sorted(catalog.experiments))}.")
    experiment = catalog.experiments[name]
    classes = catalog.cohorts[experiment.cohort].classes
    _check_classes(folds, classes)
    parts = run_parts(experiment, catalog, folds, feature_digest)
    run = _Run(name, digest(**parts), parts, experiment, catalog, accelerator, threads, list(feature_parts))
    folder = runs / name / run.digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(folds)
    done = {key: reusable(_folder(folder, key), run.digest) for key in keys}
    missing = [key for key in keys if done[key] is None]
    if missing:
        model = catalog.models[experiment.model]
        rows = rows_of(folds, classes, features if model.inputs else None)
        for key in track(missing, name, unit="folds"):
            done[key] = run.train(rows, folds, key, _folder(folder, key))
    LOG.info("%s: computed=%s reused=%s folds", name, len(missing), len(keys) - len(missing))
    predictions = pd.concat([done[key] for key in keys], ignore_index=True)
    return RunResult(run.digest, folder, len(missing), len(keys) - len(missing), predictions)


def read_run(name: str, digest: str, folds: pd.DataFrame, runs: Path) -> pd.DataFrame:
    """Return the predictions of all folds of a finished run, as in :class:`RunResult`, having checked every file.

    Raises:
        DamagedFoldError: a fold has not been trained, or its files are not what was written.
    """
    folder = runs / name / digest[:16]
    return pd.concat([read_fold(_folder(folder, key), digest) for key in _keys(folds)], ignore_index=True)


def is_finished(name: str, digest: str, folds: pd.DataFrame, runs: Path) -> bool:
    """Return whether every fold of the run is there; its files are checked by :func:`read_run`."""
    return all(_folder(runs / name / digest[:16], key).is_dir() for key in _keys(folds))


@dataclass(frozen=True)
class _Run:
    """What the folds of a run have in common."""

    name: str
    digest: str
    parts: dict[str, Any]
    experiment: ExperimentSpec
    catalog: Catalog
    accelerator: str
    threads: int
    feature_parts: list[str]

    def train(self, rows: Rows, folds: pd.DataFrame, key: tuple[int, int], folder: Path) -> pd.DataFrame:
        """Train one fold, write its folder, return its predictions."""
        repeat, fold = key
        started, clock = datetime.now(UTC), time.perf_counter()
        train_ids, test_ids = _sides(folds, repeat, fold)
        train, test = rows.take(train_ids), rows.take(test_ids)
        spec = self.catalog.models[self.experiment.model]
        seed = fold_seed(self.experiment.seed, repeat, fold)
        title = f"{self.name} fold {repeat}-{fold}"
        settings = FitSettings(seed=seed, accelerator=self.accelerator, threads=self.threads, title=title)
        fitted = implementation(spec.kind).fit(spec, train, settings)
        predictions = _predict(fitted, test).assign(repeat=np.int64(repeat), fold=np.int64(fold))
        probabilities = [f"p_{label}" for label in rows.classes]
        predictions = predictions[["recording_id", "donor", "label", "repeat", "fold", *probabilities]]
        provenance = {
            "digest": self.digest,
            "experiment": self.name,
            "repeat": repeat,
            "fold": fold,
            "seed": seed,
            "made_from": self.parts,
            "catalog": self.experiment.model_dump(mode="json"),
            "feature_parts": self.feature_parts,
            "train": {"recordings": len(train), "donors": int(train.table["donor"].nunique())},
            "test": {"recordings": len(test), "donors": int(test.table["donor"].nunique())},
            "fitted": fitted.notes,
            "environment": environment(),
            "started_at": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
        }
        write_fold(folder, fitted, predictions, provenance)
        return predictions


def fold_seed(seed: int, repeat: int, fold: int) -> int:
    """Return the seed of one fold: different for each fold, the same in every run with the same ``seed``."""
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])


def _keys(folds: pd.DataFrame) -> list[tuple[int, int]]:
    pairs = folds[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    return [(int(repeat), int(fold)) for repeat, fold in zip(pairs["repeat"], pairs["fold"], strict=True)]


def _folder(run: Path, key: tuple[int, int]) -> Path:
    return run / f"fold-{key[0]}-{key[1]}"


def _sides(folds: pd.DataFrame, repeat: int, fold: int) -> tuple[list[str], list[str]]:
    """Return the recording ids to fit to and those to test, each sorted."""
    rows = folds[folds["repeat"] == repeat].sort_values("recording_id")
    tested = rows["fold"] == fold
    return rows["recording_id"][~tested].tolist(), rows["recording_id"][tested].tolist()


def _check_classes(folds: pd.DataFrame, classes: Sequence[str]) -> None:
    """Say, before any fold is trained, which class some fold could never learn."""
    for repeat, fold, absent in _unseen(folds, classes):
        raise RunError(
            f"Fold {repeat}-{fold} has no training recording of {', '.join(absent)}: the model could never learn it. "
            "Use fewer folds, or merge or drop the class in the cohort's labels."
        )


def _unseen(folds: pd.DataFrame, classes: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
    for repeat, fold in _keys(folds):
        seen = set(folds.loc[(folds["repeat"] == repeat) & (folds["fold"] != fold), "label"])
        absent = [label for label in classes if label not in seen]
        if absent:
            yield repeat, fold, absent


def _predict(fitted: FittedModel, test: Rows) -> pd.DataFrame:
    """Return ``test``'s recording_id, donor and label with a probability for each class."""
    probabilities = fitted.predict_probabilities(test.without_labels())
    if probabilities.shape != (len(test), len(test.classes)) or not np.allclose(
        probabilities.sum(axis=1), 1, atol=1e-6
    ):
        raise RunError(
            f"A {type(fitted).__name__} gave probabilities {list(probabilities.shape)} that do not sum to 1 for "
            f"{len(test)} recordings and {len(test.classes)} classes; the fold is not kept."
        )
    columns = {f"p_{label}": probabilities[:, code] for code, label in enumerate(test.classes)}
    return test.table[["recording_id", "donor", "label"]].assign(**columns)

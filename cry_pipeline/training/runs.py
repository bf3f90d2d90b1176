"""Runs: an experiment's folds, trained or taken from before.

Belongs here: what a run is made from and its digest, which rows a fold may see, resuming. Does not: how a
model is fitted (baselines.py, trainer.py), and what its predictions are worth (evaluation).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cry_pipeline.allocation import keep_freed_memory
from cry_pipeline.artefacts import table_digest
from cry_pipeline.catalog import Catalog, ExperimentSpec, digest
from cry_pipeline.folds.words import tested
from cry_pipeline.progress import track
from cry_pipeline.side_by_side import in_processes
from cry_pipeline.training import copies
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.fold_folders import read_fold, reusable, write_fold
from cry_pipeline.training.images import networks_of
from cry_pipeline.training.models import FitSettings, FittedModel
from cry_pipeline.training.provenance import environment
from cry_pipeline.training.registry import implementation, revision_of
from cry_pipeline.training.run_inputs import manifest_digest, reader_of, run_rows

if TYPE_CHECKING:
    from cry_pipeline.features.rows import FeatureRows
    from cry_pipeline.training.images import FeatureReader

LOG = logging.getLogger("cry_pipeline")
REVISION = 2
"""Raised when a change of this module changes which rows a fold sees or what it is seeded with."""

MEMORY_MIB = 2048
"""Images of a run are held in memory up to this size, by default."""


WORTH_PROCESSES_S = 6.0
"""A fold that takes longer is worth a process, which takes some seconds to start and import what it needs."""

Key = tuple[int, int]
"""Repeat and fold."""
_Trained = tuple[Key, pd.DataFrame]


class RunError(ValueError):
    """A run cannot be trained as asked; the message says why and what to change."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: out-of-fold ``predictions`` of all folds, and how many folds were trained or reused.

    ``predictions`` has the columns recording_id, donor, label, repeat, fold, then ``p_<class>`` (float64, rows sum to
    1, not calibrated) for each class in the cohort's order, and ``temperature`` (of the fold's model: calibrated are
    softmax(log p / temperature)); sorted by repeat, fold and recording_id.
    """

    digest: str
    folder: Path
    computed: int
    reused: int
    predictions: pd.DataFrame


def run_parts(
    experiment: ExperimentSpec,
    catalog: Catalog,
    folds: pd.DataFrame,
    feature_digest: str,
    metadata: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Return, as JSON types, all that decides a run's predictions; names and descriptions are not in it.

    Recordings outside the folds do not enter it; the feature set does not where the model reads no features, and of
    the manifest only what the model reads.

    Raises:
        TrainingDataError: the model reads the manifest, and ``metadata`` lack a recording or a column.
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
            **manifest_digest(model.metadata, folds, metadata),
        },
        "revision": [REVISION, revision_of(model)]
        + [f"copies-{copies.REVISION}"] * (bool(model.inputs) and copies.has_copies(folds)),
    }


def run_digest(
    experiment: ExperimentSpec,
    catalog: Catalog,
    folds: pd.DataFrame,
    feature_digest: str,
    metadata: pd.DataFrame | None = None,
) -> str:
    """Return the sha256 of :func:`run_parts`; runs with equal digests have equal predictions."""
    return digest(**run_parts(experiment, catalog, folds, feature_digest, metadata))


def train_run(
    name: str,
    catalog: Catalog,
    folds: pd.DataFrame,
    features: "FeatureRows | FeatureReader | None",
    *,
    feature_digest: str,
    runs: Path,
    metadata: pd.DataFrame | None = None,
    accelerator: str = "auto",
    device: int = 0,
    deterministic: bool = False,
    workers: int = 1,
    memory_mib: int = MEMORY_MIB,
    tensorboard: bool = False,
    feature_parts: Sequence[str] = (),
) -> RunResult:
    """Train the folds of experiment ``name`` that have not been trained before; return all folds' predictions.

    A fold is fitted to the recordings of its repeat that it does not test, and is kept in
    ``<runs>/<name>/<first 16 of the digest>/fold-<repeat>-<fold>/``. It appears there when it is done, so an
    interrupted run goes on with the fold it was in. A fold whose files are damaged is said and trained again.

    Args:
        name: experiment in ``catalog``.
        folds: recording_id, donor, label, repeat, fold of the experiment's cohort and protocol.
        features: the arrays named in the model's ``inputs`` for these recordings, or a function that reads some of
            them, so that not all need be in memory at once; may be None where the model has no inputs. Where ``folds``
            hold copies, ``spectrogram`` is read too, of which they are made.
        feature_digest: digest of the feature set.
        runs: root folder of all runs.
        metadata: recording_id and the columns named in the model's ``metadata``; may be None where it has none.
        accelerator: where networks are trained: auto, cpu or gpu.
        device: number of the GPU.
        deterministic: whether a GPU must give the same bits every time.
        workers: folds that are trained side by side, each in a process of its own; one at a time where networks are
            trained on a GPU. The predictions do not depend on it.
        memory_mib: images of more MiB than this, over all processes, are mapped from a file instead of held in memory.
        tensorboard: whether learning curves are written to ``tensorboard/`` beside the folds.
        feature_parts: the store's snapshot that ``features`` was read from; noted in the provenance, not in the digest.

    Raises:
        RunError: the experiment is unknown, or a class has no recording to learn from in some fold.
        TrainingDataError: labels and classes, or rows, features and metadata, do not fit together.
        ProcessDiedError: a process that trained a fold was killed.
    """
    if name not in catalog.experiments:
        raise RunError(f"There is no experiment {name!r}; the catalog has {', '.join(sorted(catalog.experiments))}.")
    experiment = catalog.experiments[name]
    classes = catalog.cohorts[experiment.cohort].classes
    _check_classes(folds, classes)
    parts = run_parts(experiment, catalog, folds, feature_digest, metadata)
    key = digest(**parts)
    folder = runs / name / key[:16]
    settings = FitSettings(
        accelerator=accelerator,
        device=device,
        deterministic=deterministic,
        curves=folder / "tensorboard" if tensorboard else None,
    )
    run = _Run(name, key, parts, experiment, catalog, settings, list(feature_parts))
    folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(folds)
    done = {key: reusable(_folder(folder, key), run.digest) for key in keys}
    missing = [key for key in keys if done[key] is None]
    if missing:
        model = catalog.models[experiment.model]
        read = reader_of(features) if model.inputs else None
        if read is not None and copies.has_copies(folds):
            read = copies.copying(read, catalog.feature_sets[experiment.feature_set])
        workers = 1 if networks_of(model) and settings.on_gpu else workers
        with run_rows(folds, classes, model, read, metadata, memory_mib // workers, folder) as rows:
            trained = _trained(partial(run.train, rows, folds, folder), missing, workers)
            done |= dict(track(trained, name, total=len(missing), unit="folds"))
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
    settings: FitSettings
    feature_parts: list[str]

    def train(self, rows: Rows, folds: pd.DataFrame, run: Path, key: Key) -> pd.DataFrame:
        """Train fold ``key``, write its folder in that of the ``run``, return its predictions."""
        keep_freed_memory()
        (repeat, fold), folder = key, _folder(run, key)
        started, clock = datetime.now(UTC), time.perf_counter()
        train_ids, test_ids = _sides(folds, repeat, fold)
        train, test = rows.take(train_ids), rows.take(test_ids)
        spec = self.catalog.models[self.experiment.model]
        seed = fold_seed(self.experiment.seed, repeat, fold)
        title = f"{self.name} fold {repeat}-{fold}"
        curves = self.settings.curves and self.settings.curves / folder.name
        settings = replace(self.settings, seed=seed, title=title, curves=curves)
        fitted = implementation(spec.kind).fit(spec, train, settings)
        predictions = _predict(fitted, test).assign(repeat=np.int64(repeat), fold=np.int64(fold))
        probabilities = [f"p_{label}" for label in rows.classes]
        predictions["temperature"] = fitted.temperature
        predictions = predictions[["recording_id", "donor", "label", "repeat", "fold", *probabilities, "temperature"]]
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
            "fitted": {**fitted.notes, "temperature": fitted.temperature},
            "environment": environment(),
            "started_at": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
        }
        write_fold(folder, fitted, predictions, provenance)
        return predictions


def _trained(train: Callable[[Key], pd.DataFrame], keys: Sequence[Key], workers: int) -> Iterator[_Trained]:
    """Yield the predictions of each fold: side by side, if the first tells that it is worth starting processes."""
    clock = time.perf_counter()
    yield keys[0], train(keys[0])
    rest = keys[1:]
    if workers > 1 and len(rest) > 1 and time.perf_counter() - clock > WORTH_PROCESSES_S:
        yield from in_processes(train, rest, workers)
    else:
        yield from ((key, train(key)) for key in rest)


def fold_seed(seed: int, repeat: int, fold: int) -> int:
    """Return the seed of one fold: different for each fold, the same in every run with the same ``seed``."""
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])


def _keys(folds: pd.DataFrame) -> list[Key]:
    pairs = tested(folds)[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    return [(int(repeat), int(fold)) for repeat, fold in zip(pairs["repeat"], pairs["fold"], strict=True)]


def _folder(run: Path, key: Key) -> Path:
    return run / f"fold-{key[0]}-{key[1]}"


def _sides(folds: pd.DataFrame, repeat: int, fold: int) -> tuple[list[str], list[str]]:
    """Return the recording ids to fit to, those that no fold tests among them, and those to test, each sorted."""
    rows = folds[folds["repeat"] == repeat].sort_values("recording_id")
    here = rows["fold"] == fold
    return rows["recording_id"][~here].tolist(), rows["recording_id"][here].tolist()


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
